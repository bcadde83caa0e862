from feedkit.demo import write

write()
