"""A PEFT classifier as the plain Transformers model that it is equal to."""

from __future__ import annotations

from typing import Any

from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError
from lorabert.models.bases import quiet_transformers


def merged(classifier: Classifier) -> Classifier:
    """Add each `scaling * B A` to the weight that it changes, and put what was trained whole in its place.

    The model of the classifier given is taken apart for it; what it answers must be asked before.

    Raises:
        InputError: a merged weight is not a finite number.
    """
    with quiet_transformers():
        try:
            model: Any = classifier.model.merge_and_unload(safe_merge=True)
        except ValueError as error:
            raise InputError("The adapter cannot be merged into its base", got=str(error).splitlines()[0]) from None
    return Classifier(model.eval(), classifier.tokenizer, classifier.label_names, classifier.max_length)
