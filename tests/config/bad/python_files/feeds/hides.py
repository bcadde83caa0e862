from feedkit import Filter


class Calls(Filter):
    match: str = 'loud'
