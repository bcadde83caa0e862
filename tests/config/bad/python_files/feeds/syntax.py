from feedkit import Filter

class Calls(Filter)
    pass
