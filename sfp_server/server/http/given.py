"""What a handler is given when its parameters are named `services` and `principal`."""

from typing import TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from sfp_server.server.principal import Principal
from sfp_server.server.services import Services

TheServices: TypeAlias = NamedDependency[SkipValidation[Services]]
ThePrincipal: TypeAlias = NamedDependency[SkipValidation[Principal]]
