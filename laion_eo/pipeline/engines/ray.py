"""The Ray engine: shards on the machines of a Ray cluster, the same bytes out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import reduce
from itertools import cycle
from typing import Any

from laion_eo.errors import ConfigError
from laion_eo.pipeline.engines.local import Engine, Result, Shard

FAN_IN = 8
"""Results that are joined by one task of the tree."""
GROUP = 64
"""Shards whose joined result comes back, and is kept, together."""


class RayEngine(Engine):
    """Each worker builds the run's components once and works through shards.

    The workers start with the first shard and stay until :meth:`close`. One that is lost is started
    again and its shard done again. All machines must see the run directory and the pool under the
    same paths.

    Args:
        address: The cluster; ``None`` takes the one of the environment, or starts one here.
        workers: Number of workers; by default one for each ``cpus_per_worker`` of the cluster.
        cpus_per_worker: Threads of one worker.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str | None, workers: int | None, cpus_per_worker: int) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError('[engine] use = "ray": pip install "laion-eo[ray]" first.') from None
        self._ray = ray
        self._started = not ray.is_initialized()
        try:
            if self._started:
                local = {} if address else {"include_dashboard": False}
                ray.init(address=address, log_to_driver=False, configure_logging=False, **local)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(f"[engine] address = {address!r}: no Ray cluster: {error}") from None
        total = int(ray.cluster_resources().get("CPU", 1))
        self._count = workers or max(1, total // cpus_per_worker)
        self._options = {"num_cpus": cpus_per_worker, "max_restarts": -1, "max_task_retries": -1}
        self._workers: list[Any] = []

    def close(self) -> None:
        """End the workers, and Ray too where this engine started it."""
        self._end_workers()
        if self._started:
            self._ray.shutdown()

    def _start_workers(self) -> None:
        if not self._workers:
            actor = self._ray.remote(_Worker).options(**self._options)
            self._workers = [actor.remote() for _ in range(self._count)]

    def _end_workers(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers = []

    def map(self, function: Callable[[Shard], Result], shards: Iterable[Shard]) -> Iterator[Result]:
        """Yield ``function(shard)`` for each shard, in order."""
        with closing(self._submit(function, shards)) as references:
            for reference in references:
                yield self._ray.get(reference)

    def merge(
        self,
        function: Callable[[Shard], Result],
        join: Callable[[Result, Result], Result],
        shards: Iterable[Shard],
    ) -> Iterator[tuple[int, Result]]:
        """Yield the joined results of groups of shards; the workers join them, in a tree."""
        self._start_workers()
        tree = _Tree(join, self._workers)
        with closing(self._submit(function, shards)) as references:
            for reference in references:
                tree.add(reference)
                if tree.count == GROUP:
                    yield tree.count, self._ray.get(tree.root())
                    tree = _Tree(join, self._workers)
        if tree.count:
            yield tree.count, self._ray.get(tree.root())

    def _submit(
        self, function: Callable[[Shard], Result], shards: Iterable[Shard]
    ) -> Generator[Any, None, None]:
        """Yield references to results in order, twice as many in progress as there are workers."""
        self._start_workers()
        # In a list, so that it arrives as a reference: a worker loads each function once.
        shared = [self._ray.put(function)]
        waiting: deque[tuple[Any, Any]] = deque()
        free = deque(self._workers * 2)
        try:
            for shard in shards:
                if not free:
                    # In order: the oldest is waited for, and its worker gets the next shard.
                    reference, worker = waiting.popleft()
                    self._ray.wait([reference], fetch_local=False)
                    free.append(worker)
                    yield reference
                worker = free.popleft()
                waiting.append((worker.work.remote(shared, shard), worker))
            while waiting:
                reference, _ = waiting.popleft()
                self._ray.wait([reference], fetch_local=False)
                yield reference
        except BaseException:
            self._end_workers()  # nobody waits for their results any more
            raise


class _Worker:
    """One process of the cluster; it holds the last function, and with it the components."""

    def __init__(self) -> None:
        self._reference: Any = None
        self._function: Callable[[Any], Any] | None = None

    def work(self, shared: list[Any], shard: Any) -> Any:
        if self._function is None or shared[0] != self._reference:
            import ray

            self._reference, self._function = shared[0], ray.get(shared[0])
        return self._function(shard)

    def join(self, join: Callable[[Any, Any], Any], *results: Any) -> Any:
        return reduce(join, results)


class _Tree:
    """References to results in order, joined :data:`FAN_IN` at a time as soon as they are there.

    The workers do it between their shards: a task of its own would wait for a process to start.
    """

    def __init__(self, join: Callable[[Any, Any], Any], workers: list[Any]) -> None:
        self._join = join
        self._workers = cycle(workers)
        self._levels: list[list[Any]] = [[]]
        self.count = 0

    def add(self, reference: Any) -> None:
        self.count += 1
        self._grow(0, reference)

    def _grow(self, level: int, reference: Any) -> None:
        if level == len(self._levels):
            self._levels.append([])
        self._levels[level].append(reference)
        if len(self._levels[level]) == FAN_IN:
            full, self._levels[level] = self._levels[level], []
            self._grow(level + 1, self._joined(full))

    def root(self) -> Any:
        """Join what is left: the higher levels hold the earlier results."""
        left: list[Any] = []
        for level in self._levels:
            left = [*level, *([self._joined(left)] if left else [])]
        return self._joined(left)

    def _joined(self, references: list[Any]) -> Any:
        if len(references) == 1:
            return references[0]
        return next(self._workers).join.remote(self._join, *references)
