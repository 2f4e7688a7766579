"""Every check of ours, and the two judges from npm, asked in the same way."""

import json

import checks_build  # noqa: F401 (they register themselves)
import checks_files  # noqa: F401
import checks_links  # noqa: F401
import checks_pods  # noqa: F401
import checks_view  # noqa: F401
import opinions
import tree as shipping
from checking import CHECKS, run
from rendering import RenderError

OURS = sorted(CHECKS)
JUDGES = ['schema', 'types']


class Judged:
    """What each judge says of each object, asked once for all that will be looked at."""

    def __init__(self, packages, folder, objects):
        self.keys = sorted({json.dumps(thing, sort_keys=True) for thing in objects})
        distinct = [json.loads(key) for key in self.keys]
        said = {'schema': opinions.schema(packages, distinct),
                'types': opinions.types(packages, distinct, folder)}
        self.said = {judge: dict(zip(self.keys, answers)) for judge, answers in said.items()}

    def findings(self, judge, things):
        """What it says of these."""
        answers = ((thing, self.said[judge][json.dumps(thing.body, sort_keys=True)])
                   for thing in things)
        return [f'{thing}: {answer}' for thing, answer in answers if answer]


def rendered(files):
    """(trees, '') or ([], why they cannot be made)."""
    try:
        return list(shipping.trees(files)), ''
    except RenderError as error:
        return [], str(error)


def ours(name, trees):
    """What one of our checks finds, without and with the component."""
    return [finding for tree in trees for finding in run(name, tree)]
