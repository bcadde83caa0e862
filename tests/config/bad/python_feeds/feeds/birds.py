from feedkit import Feed, Keywords, Newest, PerAuthor


class Birds(Feed):
    display_nam = 'Birds'
    filter = PerAuthor(2)
    rank = Newest
    keep = 'long'


class Wrens(Feed):
    display_name = 'Wrens'


class Owls(Feed):
    filter = {'keyword': 'owl'}
    depth = 0
    select = 'per_author'
    publisher = 7


class Gulls(Feed):
    @property
    def filter(self):
        return Keywords(self.words)


FEEDS = [Gulls()]
