"""A site's languages and what its interface says: one default that has every key, and others that fall back on it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from html import unescape
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.database import Database, Plane, Scope
from app.core.errors import Forbidden
from app.core.ids import new_id
from app.core.policy import Actor
from app.modules.locales import service as locales_service
from app.modules.locales.schemas import LocaleCreate
from app.modules.locales.service import LocaleService, canonical
from tests.conftest import Made
from tests.modules.conftest import Teknav

Clients = Callable[..., Awaitable[AsyncClient]]
HERE = "/api/v1/locales"
HTMX = {"HX-Request": "true"}
SCOPES = ("locales:read", "locales:write", "articles:read", "articles:write")


async def made(app: AsyncClient, code: str, name: str = "A language", **more: Any) -> dict[str, Any]:
    answer = await app.post(HERE, json={"code": code, "name": name, **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{HERE}/{found['code']}"
    return found


async def written(app: AsyncClient, code: str, texts: dict[str, str | None]) -> dict[str, Any]:
    answer = await app.patch(f"{HERE}/{code}/texts", json={"texts": texts})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def codes(app: AsyncClient) -> list[str]:
    return [one["code"] for one in (await app.get(HERE)).json()["items"]]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("EN", "en"),
        ("pt-br", "pt-BR"),
        ("ZH-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("sl-ROZAJ-biske", "sl-rozaj-biske"),
        ("de-1996", "de-1996"),
        ("e", None),
        ("english", None),
        ("de_DE", None),
        ("de-", None),
        ("de-DE-x-own", None),
        ("de\n", None),
        ("ſl", None),
    ],
)
def test_tags_have_one_way_to_be_written(given: str, written: str | None) -> None:
    assert canonical(given) == written


@pytest.mark.promise("S4-17")
async def test_languages_are_made_ordered_changed_and_deleted_and_one_is_the_default(
    tenant_client: Clients, make_tenant: Callable[[str], Awaitable[Made]], admin: asyncpg.Connection
) -> None:
    app = await tenant_client(*SCOPES)
    assert (await app.get(HERE)).json() == {"items": []}
    english = await made(app, "EN", "English")
    assert (english["code"], english["default"], english["place"], english["missing"]) == ("en", True, 1, 0)
    await made(app, "pt-br", "Português", enabled=False)
    await made(app, "de", "Deutsch", place=0)
    assert await codes(app) == ["de", "en", "pt-BR"]
    for body, status, field in (
        ({"code": "PT-BR", "name": "again"}, 409, "code"),
        ({"code": "no_tag", "name": "x"}, 422, "code"),
        ({"code": "fr", "name": " "}, 422, "name"),
        ({"code": "fr", "name": "x", "place": -1}, 422, "place"),
    ):
        answer = await app.post(HERE, json=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field), answer.text
    path = f"{HERE}/pt-br"
    first = await app.get(path)
    assert first.headers["etag"] == '"1"' and first.json()["enabled"] is False
    changed = await app.patch(path, json={"enabled": True, "place": 7}, headers={"If-Match": '"1"'})
    assert changed.json() | {"updatedAt": 0} == first.json() | {
        "enabled": True,
        "place": 7,
        "version": 2,
        "updatedAt": 0,
    }
    assert (await app.patch(path, json={"place": 8}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await app.patch(f"{HERE}/en", json={"enabled": False})).json()["errors"][0]["field"] == "enabled"
    assert (await app.patch(f"{HERE}/en", json={"default": False})).json()["errors"][0]["field"] == "default"
    assert (await app.delete(f"{HERE}/en")).json()["code"] == "default_locale"
    assert (await app.patch(f"{HERE}/de", json={"default": True})).json()["default"] is True
    assert [one["default"] for one in (await app.get(HERE)).json()["items"]] == [True, False, False]
    assert (await app.delete(f"{HERE}/en")).status_code == 204 and await codes(app) == ["de", "pt-BR"]

    other = await make_tenant("Elsewhere")
    foreign = await tenant_client(*SCOPES, of=other)
    assert await codes(foreign) == []
    missing, theirs = await foreign.get(f"{HERE}/xx"), await foreign.get(f"{HERE}/de")
    assert missing.status_code == theirs.status_code == 404
    told = await admin.fetch("SELECT action, resource_label, tenant_id FROM audit_log WHERE action LIKE 'locale.%'")
    assert [row["action"] for row in told if row["resource_label"] == "en"] == ["locale.create", "locale.delete"]
    assert len({row["tenant_id"] for row in told}) == 1


@pytest.mark.promise("S4-17")
async def test_texts_are_written_at_once_fall_back_and_are_counted_where_they_lack(tenant_client: Clients) -> None:
    app = await tenant_client(*SCOPES)
    await made(app, "en")
    await made(app, "de")
    english = {"menu.home": "Home", "menu.about": "About us", "hits": "{n, plural, one {# hit} other {# hits}}"}
    found = await written(app, "en", english)
    assert (found["written"], found["locale"]["texts"], found["locale"]["missing"]) == (3, 3, 0)
    assert (await written(app, "en", english))["written"] == 0, "nothing is another one than before"
    found = await written(app, "de", {"menu.home": "Start", "hits": "{n} Treffer"})
    assert (found["locale"]["texts"], found["locale"]["missing"]) == (2, 1)

    german = await app.get(f"{HERE}/DE/texts")
    assert german.json() == {
        "locale": "de",
        "defaultLocale": "en",
        "missing": 1,
        "texts": {"hits": "{n} Treffer", "menu.about": "About us", "menu.home": "Start"},
    }
    own = (await app.get(f"{HERE}/de/texts", params={"fallback": "false"})).json()
    assert own["texts"] == {"hits": "{n} Treffer", "menu.home": "Start"} and own["missing"] == 1
    again = await app.get(f"{HERE}/de/texts", headers={"If-None-Match": german.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", german.headers["etag"])

    # What a language says of what the default one does not say is never shown beside it.
    refused = await app.patch(f"{HERE}/de/texts", json={"texts": {"menu.home": "Anfang", "menu.new": "Neu"}})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "texts.menu.new")
    for key, text in (("a..b", "x"), ("a b", "x"), ("a", ""), ("a", " "), ("a", "x" * 2001), ("a", "\0"), ("a\n", "x")):
        answer = await app.patch(f"{HERE}/en/texts", json={"texts": {key: text}})
        assert answer.status_code == 422, (key, text)
    assert (await app.get(f"{HERE}/de/texts")).json() == german.json(), "all or none"

    # The default has every key: another becomes it once that is so, and then nothing lacks.
    assert (await app.patch(f"{HERE}/de", json={"default": True})).json()["code"] == "incomplete"
    changed = await written(app, "de", {"menu.about": "Über uns", "menu.home": None})
    assert (changed["written"], changed["deleted"], changed["locale"]["missing"]) == (1, 1, 1)
    fresh = await app.get(f"{HERE}/de/texts", headers={"If-None-Match": german.headers["etag"]})
    assert fresh.status_code == 200 and fresh.json()["texts"]["menu.home"] == "Home"
    await written(app, "de", {"menu.home": "Start"})
    assert (await app.patch(f"{HERE}/de", json={"default": True})).status_code == 200

    # A key that the default one says no more is nobody's.
    assert (await written(app, "de", {"hits": None, "never.was": None}))["deleted"] == 2
    assert (await app.get(f"{HERE}/en/texts")).json()["texts"] == {"menu.about": "About us", "menu.home": "Home"}


@pytest.mark.promise("S4-17")
async def test_what_apps_read_is_kept_until_a_text_changes(
    tenant_client: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await tenant_client(*SCOPES)
    del app.headers["Cache-Control"]
    await made(app, "en")
    await made(app, "de")
    await written(app, "en", {"a": "one"})
    reads: list[str] = []
    real = LocaleService.bundle

    async def counted(self: LocaleService, code: str, **more: Any) -> Any:
        reads.append(code)
        return await real(self, code, **more)

    monkeypatch.setattr(LocaleService, "bundle", counted)

    async def said() -> str:
        found: str = (await app.get(f"{HERE}/de/texts")).json()["texts"]["a"]
        return found

    assert [await said() for _ in range(3)] == ["one"] * 3 and reads == ["de"]
    await written(app, "en", {"a": "two"})
    assert [await said() for _ in range(2)] == ["two"] * 2 and reads == ["de", "de"]
    await app.delete(f"{HERE}/de")
    assert (await app.get(f"{HERE}/de/texts")).status_code == 404


async def test_a_tenant_has_so_many_languages_and_keys(tenant_client: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locales_service, "MOST_LOCALES", 2)
    monkeypatch.setattr(locales_service, "MOST_TEXTS", 3)
    app = await tenant_client(*SCOPES)
    await made(app, "en")
    await made(app, "de")
    assert (await app.post(HERE, json={"code": "fr", "name": "x"})).json()["code"] == "too_many"
    await written(app, "en", {"a": "1", "b": "2"})
    refused = await app.patch(f"{HERE}/en/texts", json={"texts": {"c": "3", "d": "4"}})
    assert refused.json()["code"] == "too_many"
    assert (await written(app, "en", {"c": "3", "d": "4", "a": None}))["locale"]["texts"] == 3
    assert (await app.patch(f"{HERE}/en/texts", json={"texts": {}})).status_code == 422


async def test_who_is_tied_to_a_workspace_reads_and_changes_nothing(
    database: Database, tenant: Made, tenant_client: Clients
) -> None:
    await made(await tenant_client(*SCOPES), "en")
    whole = Actor("api_token", new_id(), "token:test", frozenset(SCOPES), Plane.TENANT, tenant.id)
    tied = replace(whole, workspace_id=new_id())
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        service = LocaleService(session, tied, tenant.id)
        assert [one.code for one in await service.all()] == ["en"] and (await service.bundle("en")).texts == {}
        for change in (
            service.create(LocaleCreate(code="de", name="x")),
            service.write("en", {"a": "x"}),
            service.delete("en"),
        ):
            with pytest.raises(Forbidden) as refused:
                await change
            assert refused.value.code == "workspace_token"


@pytest.mark.promise("S4-17", "S4-4")
async def test_articles_are_translated_to_the_sites_languages_where_it_says_which(tenant_client: Clients) -> None:
    app = await tenant_client(*SCOPES)
    article = (await app.post("/api/v1/articles", json={"title": "Tides", "body": "x"})).json()
    path = f"/api/v1/articles/{article['id']}/translations"
    assert (await app.post(path, json={"language": "nl"})).status_code == 201, "any, as nothing is said"
    await made(app, "en")
    await made(app, "pt-BR", enabled=False)
    refused = await app.post(path, json={"language": "fr"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "language")
    assert "en, pt-BR" in refused.json()["errors"][0]["message"]
    assert (await app.post(path, json={"language": "pt-br"})).status_code == 201
    assert len((await app.get(path)).json()["items"]) == 2, "what was there stays"


async def test_the_owner_does_the_same_in_any_tenant(owner: AsyncClient, tenant: Made, tenant_client: Clients) -> None:
    here = f"/api/owner/tenants/{tenant.id}/locales"
    answer = await owner.post(here, json={"code": "en", "name": "English"})
    assert answer.status_code == 201 and answer.headers["location"] == f"{here}/en"
    assert (await owner.patch(f"{here}/en/texts", json={"texts": {"a": "A"}})).json()["written"] == 1
    app = await tenant_client("locales:read")
    assert (await app.get(f"{HERE}/en/texts")).json() == (await owner.get(f"{here}/en/texts")).json()
    assert (await app.patch(f"{HERE}/en/texts", json={"texts": {"a": "B"}})).status_code == 403
    assert (await owner.get(f"/api/owner/tenants/{new_id()}/locales")).status_code == 404


@pytest.mark.promise("S4-17")
@pytest.mark.parametrize("whose", ["owner", "member"])
async def test_pages_show_how_complete_languages_are_and_write_texts_beside_the_defaults(
    whose: str, owner: AsyncClient, member: Clients, tenant: Made
) -> None:
    browser, home = owner, f"/dashboard/owner/tenants/{tenant.id}"
    if whose == "member":
        browser, home = await member("ann@example.org", "editor"), f"/dashboard/t/{tenant.slug}"
    here = f"{home}/locales"
    assert "No languages yet" in (await browser.get(here)).text
    assert f'href="{here}"' in (await browser.get(here)).text, "a line of the menu, or a tab"
    form = {"code": "en", "name": "English", "enabled": "true", "place": ""}
    assert "English" in (await browser.post(here, data=form, headers=HTMX)).text
    await browser.post(here, data=form | {"code": "ar", "name": "العربية"}, headers=HTMX)
    for data, field in ((form | {"place": "x", "code": "fr"}, "place"), (form | {"code": ""}, "code")):
        refused = await browser.post(here, data=data, headers=HTMX)
        assert refused.status_code == 422 and f'data-field="{field}"' in refused.text
    answer = await browser.post(f"{here}/en/texts", data={"key": "menu.home", "text": "Home\r\nnow"}, headers=HTMX)
    assert "menu.home is written" in answer.headers["hx-trigger"], answer.text
    for data, field in (({"key": "a b", "text": "x"}, "key"), ({"key": "a", "text": " "}, "text")):
        refused = await browser.post(f"{here}/en/texts", data=data, headers=HTMX)
        assert refused.status_code == 422 and f'data-field="{field}"' in refused.text
    file = json.dumps({"menu.about": "About", "menu.help": "Help"}).encode()
    done = await browser.post(f"{here}/en/file", files={"file": ("en.json", file)}, headers=HTMX)
    assert "Written: 2, deleted: 0" in done.headers["hx-trigger"]
    said = {b'{"a": 1}': "wrong text", b'{"a b": "x"}': "wrong key", b"[]": "an object", b'{"a"': "is no JSON"}
    for bad, words in said.items():
        wrong = await browser.post(f"{here}/en/file", files={"file": ("en.json", bad)}, headers=HTMX)
        assert wrong.status_code == 422 and 'data-field="file"' in wrong.text and words in wrong.text, wrong.text
        assert "Expected" not in wrong.text, "no word of the decoder's"
    assert (await browser.get(f"{here}/en/file")).json() == {
        "menu.about": "About",
        "menu.help": "Help",
        "menu.home": "Home\nnow",
    }
    assert "3 missing" in (await browser.get(here)).text

    drawer = unescape((await browser.get(f"{here}/ar/texts/menu.about", headers=HTMX)).text)
    assert "About" in drawer and "Save" in drawer
    saved = await browser.post(f"{here}/ar/texts/menu.about", data={"text": "حول"}, headers=HTMX)
    assert saved.status_code == 200 and "حول" in saved.text
    page = (await browser.get(f"{here}/ar/texts")).text
    assert "About" in page and "حول" in page and page.count(">missing<") == 2
    lacks = (await browser.get(f"{here}/ar/texts", params={"missing": "true"}, headers=HTMX)).text
    assert "menu.home" in lacks and "menu.about" not in lacks
    for words in ("ABOUT", "حول"):
        found = (await browser.get(f"{here}/ar/texts", params={"q": words}, headers=HTMX)).text
        assert "menu.about" in found and "menu.home" not in found
    gone = await browser.post(f"{here}/ar/texts/menu.about/removal", headers=HTMX)
    assert gone.headers["hx-redirect"] == f"{here}/ar/texts"
    assert (await browser.get(f"{here}/ar/file")).json() == {}

    shown = unescape((await browser.get(f"{here}/ar", headers=HTMX)).text)
    assert "Make default" in shown and "Change" in shown
    changed = await browser.post(f"{here}/ar", data={"name": "Arabic", "place": "3"}, headers=HTMX)
    assert "in preparation" in changed.text and "Arabic" in changed.text
    assert (await browser.post(f"{here}/ar/default", headers=HTMX)).status_code == 409
    assert (await browser.post(f"{here}/en/removal", headers=HTMX)).status_code == 409
    assert (await browser.post(f"{here}/ar/removal", headers=HTMX)).headers["hx-redirect"] == here


async def test_a_viewer_sees_texts_and_no_control(owner: AsyncClient, member: Clients, tenant: Made) -> None:
    here = f"/api/owner/tenants/{tenant.id}/locales"
    for code in ("en", "de"):
        await owner.post(here, json={"code": code, "name": code})
    await owner.patch(f"{here}/en/texts", json={"texts": {"a": "Home"}})
    browser, pages = await member("vera@example.org", "viewer"), f"/dashboard/t/{tenant.slug}/locales"
    for path in ("", "/en", "/de/texts", "/en/texts", "/de/texts/a", "/en/texts/a"):
        answer = await browser.get(pages + path)
        assert answer.status_code == 200 and f'hx-post="{pages}' not in answer.text, path
    assert (await browser.post(f"{pages}/en/texts", data={"key": "b", "text": "x"}, headers=HTMX)).status_code == 403


async def test_languages_and_their_texts_by_commands(teknav: Teknav, tenant: Made, tenant_client: Clients) -> None:
    app, at = await tenant_client("locales:read"), ("--tenant", tenant.slug)
    found = json.loads(await teknav("locale", "create", "EN", "English", *at, "--json"))
    assert found == (await app.get(f"{HERE}/en")).json()
    assert "de" in await teknav("locale", "create", "de", "Deutsch", *at, "--disabled", "--place", "9")
    told = await teknav("locale", "import", "en", "-", *at, input='{"menu.home": "Home", "menu.x": "X"}')
    assert told.startswith("Written: 2, deleted: 0. English (en): 2 texts, complete.")
    assert "deleted: 1." in await teknav("locale", "import", "en", "-", *at, input='{"menu.x": null}')
    assert json.loads(await teknav("locale", "export", "en", *at)) == {"menu.home": "Home"}
    assert json.loads(await teknav("locale", "export", "de", *at)) == {}
    assert json.loads(await teknav("locale", "export", "de", *at, "--fallback")) == {"menu.home": "Home"}
    listed = json.loads(await teknav("locale", "list", *at, "--json"))
    assert listed == (await app.get(HERE)).json() and [one["missing"] for one in listed["items"]] == [0, 1]
    assert "disabled" in await teknav("locale", "list", *at)
    assert "lacks 1 texts" in await teknav("locale", "change", "de", *at, "--default", code=1)
    changed = await teknav("locale", "change", "de", *at, "--name", "German", "--enabled")
    assert changed.startswith("German (de): 0 texts, 1 texts are missing.")
    assert "is not JSON" in await teknav("locale", "import", "en", "-", *at, input="nothing", code=2)
    assert "de is deleted" in await teknav("locale", "delete", "de", *at)
    assert "no such language" in await teknav("locale", "delete", "de", *at, code=1)
