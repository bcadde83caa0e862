from feedkit import Filter


class Calls(Filter):
    """Posts that end loudly."""

    def match(self, post):
        return post.text.endswith('!')


class Keywords(Filter):
    """A name that is taken."""

    def match(self, post):
        return True
