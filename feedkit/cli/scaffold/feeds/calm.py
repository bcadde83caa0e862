"""A filter of your own. Its name in config.yaml is the class name in snake case."""

from feedkit import Field, Filter


class Calm(Filter):
    """Posts that do not shout.

    ```yaml
    calm: 2
    ```
    """

    marks: int = Field(default=1, ge=0, description="how many exclamation marks are still calm")

    def match(self, post):
        return post.text.count("!") <= self.marks
