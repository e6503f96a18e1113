"""The tape: which operation made which array from which, in recorded order.

entry       what it is made of: tensors, entries, scopes
mode        whether a thread records, what it traces, who looks on
host        NumPy arrays of what a user hands over
writes      arrays that the user changes in place
record      running a row and recording it
walk        the entries that lead to a result
residuals   carrying a residual over one entry
passes      residuals back, tangents forward
work        what a piece of program did
replay      a piece of program as one entry
values      a tensor as it looks from outside
ends        where a backward pass starts, and the leaves where it ends
"""

from .ends import add_to_leaves as add_to_leaves
from .ends import require_float as require_float
from .ends import seed as seed
from .entry import Call as Call
from .entry import Entry as Entry
from .entry import Key as Key
from .entry import Node as Node
from .entry import Replay as Replay
from .entry import Scope as Scope
from .entry import key_of as key_of
from .entry import now as now
from .exchange import is_frozen as is_frozen
from .exchange import on_its_device as on_its_device
from .exchange import shared as shared
from .host import PYTHON_NUMBERS as PYTHON_NUMBERS
from .host import holds_tensors as holds_tensors
from .host import host_array as host_array
from .host import host_values as host_values
from .mode import Block as Block
from .mode import Observer as Observer
from .mode import Refused as Refused
from .mode import Tracing as Tracing
from .mode import composed as composed
from .mode import in_scope as in_scope
from .mode import no_grad as no_grad
from .mode import recording as recording
from .mode import scope as scope
from .mode import thread as thread
from .passes import pull_back as pull_back
from .passes import pull_replayed as pull_replayed
from .passes import push_forward as push_forward
from .passes import push_replayed as push_replayed
from .record import ARRAY_ERRORS as ARRAY_ERRORS
from .record import apply as apply
from .record import choose as choose
from .record import explained as explained
from .record import floats_beside as floats_beside
from .record import home as home
from .record import lift as lift
from .record import note as note
from .record import owner_of as owner_of
from .replay import apply_replay as apply_replay
from .replay import record_replay as record_replay
from .residuals import Residuals as Residuals
from .residuals import pull_watched as pull_watched
from .values import Values as Values
from .values import cuts as cuts
from .values import off_tape as off_tape
from .walk import Tape as Tape
from .work import by_sight as by_sight
from .writes import check_current as check_current
from .writes import check_unchanged as check_unchanged
from .writes import exposed as exposed
from .writes import fingerprint_if_exposed as fingerprint_if_exposed
from .writes import watch_new as watch_new
