from feedkit import Filter


class Calls(Filter):
    """Loud posts."""

    def match(self, post):
        return post.text.isupper()
