"""Account: what signed-in people do with their own accounts. It stands outside of every tenant."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.module import Module
from app.modules.account.controllers import AccountController
from app.modules.account.pages import AccountPages
from app.modules.account.service import Account
from app.modules.identity.service import IdentityService, SignIn


def provide_account(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> Account:
    return Account(session, actor)


def provide_identity(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> IdentityService:
    return IdentityService(session, actor)


def provide_door(request: Request[Any, Any, Any]) -> SignIn:
    return SignIn.of(request)


account = Module(
    name="account",
    public=(AccountPages, AccountController),
    providers={"account": provide_account, "identity": provide_identity, "door": provide_door},
    # Each of them gives whoever holds the session something to confirm with from then on, or nothing to be asked for.
    dangerous=("account.factor.begin", "account.factor.enable", "account.factor.disable", "account.recovery.renew"),
)
