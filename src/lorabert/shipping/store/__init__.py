"""A folder of named, versioned adapters: `emotion` is its newest version, `emotion@1` never changes.

    store/
        store.json                    the schema version: what makes the folder a store
        names/emotion/1/entry.json    which adapter emotion@1 is (its sha256), and since when; never changed
        names/emotion/2/entry.json
                        removed.json  emotion@2 was removed; its number is not given again
        objects/6b1f...e0/            an adapter folder, at the sha256 of its manifest lorabert.json
        objects/c93a...47/
        partial/                      what a writer is working on, or a killed one left

**Why whole folders.** The manifest holds the hash of every file, so its own hash fixes the adapter to the bit: the same
adapter added twice lies there once, and what `emotion@1` was can be proved later. A folder can be handed as it is to
`adapters.load`, to plain `PeftModel.from_pretrained` or to `tar`. Splitting it into single files by content would save a
tokenizer an adapter, and every reader would have to put it together again.

**Why a kill leaves it whole.** A folder is made below `partial/` and renamed to its place when it is complete and flushed:
first the adapter, then the entry that names it. Before the second rename nothing has been added, after it everything has.
A rename of a folder onto one that is there is refused by every file system, so of two who take the same number one gets
the next. Writers take turns by a lock that the operating system frees with their process; readers need none.

**Why a copy verifies.** Nothing in it depends on where it lies, on time stamps, links, letter case or file modes.
"""

from lorabert.shipping.store.entries import Entry, Slot
from lorabert.shipping.store.keeping import Check, Removal, Store, default_root
from lorabert.shipping.store.names import is_reference
from lorabert.shipping.store.objects import size_of

__all__ = ["Check", "Entry", "Removal", "Slot", "Store", "default_root", "is_reference", "size_of"]
