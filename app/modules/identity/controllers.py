"""`/api/owner/account`: what a signed-in person does with its own account."""

from litestar import Controller, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from app.core.policy import SIGNED_IN, Actor
from app.modules.identity.schemas import PasswordChange
from app.modules.identity.service import IdentityService, SignIn


class AccountController(Controller):
    path = "/account"

    @put("/password", permission=SIGNED_IN, audit="owner.password.change", status_code=204)
    async def change_password(
        self,
        actor: NamedDependency[Actor],
        door: NamedDependency[SignIn],
        identity: NamedDependency[IdentityService],
        data: JSONBody[PasswordChange],
    ) -> None:
        """Change the signed-in person's password, and end that person's other sessions. Tokens have none: 409."""
        await door.confirm(actor, data.current)
        await identity.change_password(data.password)
