"""What this process offers to the fleet: registering, binding, naming, heartbeat, readiness.

It keeps registrations alive by leases. It chooses no providers and calls none.
"""

from ciris_registry.membership.api import RegistrationMethods
from ciris_registry.membership.bindings import Binding, Bindings
from ciris_registry.membership.heartbeat import Heartbeat
from ciris_registry.membership.naming import Namer, Naming
from ciris_registry.membership.readiness import Readiness
from ciris_registry.membership.registrar import Registrar
from ciris_registry.membership.registration_request import checked_policy

__all__ = [
    "Binding",
    "Bindings",
    "Heartbeat",
    "Namer",
    "Naming",
    "Readiness",
    "Registrar",
    "RegistrationMethods",
    "checked_policy",
]
