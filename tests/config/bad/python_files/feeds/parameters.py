from feedkit import PerAuthor

TWO = PerAuthor(most='two')
