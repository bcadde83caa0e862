from feedkit import Feed, Keywords


class Birds(Feed):
    filter = Keywords('wren')
