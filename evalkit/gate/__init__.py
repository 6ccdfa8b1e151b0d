"""A gate against a committed baseline: did my change make the model worse, and could that have been seen at all?"""
