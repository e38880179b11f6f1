"""A run whose ranks may come and go: under `horovodrun --min-np 1 --max-np 2 --host-discovery-script …`.

When a rank is lost, the others go back to the last commit, meet again in a smaller world and go on; when one
comes, they commit, and meet again with it. Who trains on what is arithmetic (trainer.core.input.order), so
each patient of the epoch is still seen once, and counts once in the log.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable

from horovod.common.elastic import State, run_fn
from horovod.common.exceptions import HorovodInternalError, HostsUpdatedInterrupt

from schemas.model_config import BertConfig
from trainer.backends import MakeBackend
from trainer.config import OptimizerConfig, PretrainConfig
from trainer.core.backend import Backend
from trainer.core.commits import Commits, RanksChange
from trainer.core.stop import StopRequest
from trainer.core.together import RankLost
from trainer.core.world import World
from trainer.run_logging import set_up_logging

LOG = logging.getLogger(__name__)


def run(
    config: PretrainConfig, make_backend: MakeBackend, stop: StopRequest, pretrain: Callable[..., None]
) -> None:
    """Train as a rank of whatever world there is, again and again, until the run is done.

    pretrain: trains in one world, see trainer.pretrain.
    """
    horovod = importlib.import_module(f"horovod.{config.backend}")
    horovod.init()
    backends = _OneBackend(make_backend)
    state = _HostMessages(Commits())

    def session(state: _HostMessages) -> None:
        world = World(horovod.rank(), horovod.size(), horovod.local_rank())
        set_up_logging(world)
        LOG.warning("training with %d rank(s); this one is number %d", world.size, world.rank)
        try:
            pretrain(config, backends.make, world, stop, state.commits)
        except RankLost as error:
            committed = state.commits.state
            LOG.warning("a rank was lost; going back to step %d", committed.step if committed else 0)
            raise HorovodInternalError(str(error)) from error
        except RanksChange as change:
            LOG.warning("%s", change)
            raise HostsUpdatedInterrupt(skip_sync=False) from change

    def meet_again() -> None:
        horovod.shutdown()
        horovod.init()

    run_fn(session, meet_again)(state)


class _OneBackend:
    """Makes the backend of the first world, and hands it to every later one."""

    def __init__(self, make_backend: MakeBackend) -> None:
        self._make = make_backend
        self._backend: Backend | None = None

    def make(self, config: BertConfig, optimizer: OptimizerConfig, world: World, seed: int) -> Backend:
        if self._backend is None:
            self._backend = self._make(config, optimizer, world, seed)
        else:
            self._backend.rejoin(world)
        return self._backend


class _HostMessages(State):
    """Hears from the launcher that hosts came or went. What ranks keep and share is our own."""

    def __init__(self, commits: Commits) -> None:
        super().__init__(bcast_object=None, get_rank=None)
        self.commits = commits

    def on_hosts_updated(self, timestamp: int, update_res: int) -> None:
        self.commits.hosts_changed = True

    def reset(self) -> None:
        self.commits.hosts_changed = False

    def save(self) -> None:
        """The loop commits."""

    def restore(self) -> None:
        """pretrain does, on the first rank."""

    def sync(self) -> None:
        """pretrain does: it broadcasts state and weights."""
