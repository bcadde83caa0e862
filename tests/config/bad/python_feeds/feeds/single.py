FEEDS = 'birds'
