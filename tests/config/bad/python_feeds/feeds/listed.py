from feedkit import Keywords

FEEDS = [Keywords('heron'), 'birds']
