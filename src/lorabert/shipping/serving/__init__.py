"""One server for many classifiers: one base in memory, small adapters on it, different adapters in one forward.

    socket ─► gate ─► app ─► service ─► registry      which adapter: loaded, loaded now, or 404
             host     JSON      │          └ loader thread: reads folders, checks hashes and base
             token    schema    ├─► tokeniser thread: texts to token ids
             size, drain        └─► scheduler: one queue a client, taken in turn
             log                       └ worker thread: owns the model; one forward of up to batch_tokens tokens

Everything that decides (admission, which adapter, eviction, time-outs) happens on the event loop, one thing after the other, so
nothing needs a lock but the queue between it and the worker. Each of the three threads does one kind of work, in order:
tokenizers keep their truncation in their own state and must not be shared between threads; the model computes one forward at a
time. While a forward runs, what arrives meets in the queue and goes into the next one: no request waits for others to come.

An adapter is a handful of tensors. A request holds those it needs, so unloading or evicting an adapter takes nothing from
requests that were accepted before.
"""
