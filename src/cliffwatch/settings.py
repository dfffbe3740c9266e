"""The one typed home of settings: environment variables `CLIFFWATCH_*`, over a TOML file, over defaults that work."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from cliffwatch.folder import EVENTS, KEY, METADATA


class Settings(BaseSettings):
    """How this installation runs. Each field's description is its line in docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix="CLIFFWATCH_", toml_file="cliffwatch.toml", extra="forbid")

    data_dir: Path = Field(Path("data"), description="Folder that holds everything that is kept.")
    host: str = Field("127.0.0.1", description="Address to listen on. 0.0.0.0 makes it reachable from outside.")
    port: int = Field(8420, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    role: Literal["all", "ingest", "web", "worker"] = Field(
        "all", description="What a process does: take events, show pages, do what is due, or everything."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes of this role that share the address.")
    stop_seconds: int = Field(
        45, ge=5, description="How long a process may take to stop; then it ends at once, and nothing is lost."
    )
    base_url: str = Field(
        "", description="Address that people and SDKs use, for links in messages. Empty: host and port."
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file with the certificate and its chain: the server speaks HTTPS itself."
    )
    tls_key: Path | None = Field(None, description="PEM file with the certificate's key. Empty: in the same file.")
    trusted_proxies: str = Field(
        "", description="Addresses or networks of proxies whose X-Forwarded-For and -Proto count. Empty: none."
    )
    metadata_url: str = Field("", description="Database URL of the metadata. Empty: SQLite in the data folder.")
    store: str = Field(
        "",
        description="ClickHouse servers for events, such as clickhouse://host:9000/cliffwatch?cluster=name. "
        "Empty: a DuckDB file in the data folder.",
        repr=False,
    )
    secret_key: str = Field(
        "",
        description="Key that secrets at rest are sealed with; with commas, older ones after it. Empty: the key file.",
        repr=False,
    )
    secret_key_file: Path | None = Field(
        None, description="File with that key, made at the first start. Empty: secret.key in the data folder."
    )
    duckdb_memory: str = Field(
        "1GB", description="Memory limit of the embedded event store, or of the people of audiences beside ClickHouse."
    )
    backfill_threads: int = Field(
        0,
        ge=0,
        le=16,
        description="Parts of back-fills that a process reads at the same time. "
        "0: 1 with the embedded event store, 2 with ClickHouse.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is worth a log line.")
    log_json: bool = Field(False, description="Logs as JSON lines instead of readable text.")
    metrics_token: str = Field(
        "", description="Bearer token for /metrics. Empty: only this machine may read it.", repr=False
    )
    strict_auth: bool = Field(
        True, description="Answer 401 to an unknown write key. Off: answer 200 and drop, as Segment does."
    )
    max_queue_mb: int = Field(64, ge=1, description="Memory for requests that wait to become durable; beyond it, 429.")
    smtp_host: str = Field("", description="Mail server. Empty: no e-mail can be sent.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_user: str = Field("", description="User name at the mail server, where it asks for one.")
    smtp_password: str = Field("", description="Password at the mail server.", repr=False)
    smtp_security: Literal["none", "starttls", "tls"] = Field(
        "starttls", description="How the mail connection is secured."
    )
    mail_from: str = Field("Cliffwatch <cliffwatch@localhost>", description="Sender of e-mails.")
    allow_private_urls: bool = Field(
        False, description="Let webhooks reach private and loopback addresses. Only where every editor is trusted."
    )

    oidc_issuer: str = Field("", description="Address of the OpenID provider that people sign in at. Empty: none.")
    oidc_client_id: str = Field("", description="Client id of Cliffwatch at that provider.")
    oidc_client_secret: str = Field("", description="Client secret of Cliffwatch at that provider.", repr=False)
    oidc_name: str = Field("single sign-on", description="What the button on the sign-in page calls it.")
    oidc_domains: str = Field("", description="Domains of the e-mails that may sign in there. Empty: every one.")
    oidc_group_claim: str = Field("groups", description="Claim of the ID token that lists a person's groups.")
    oidc_roles: str = Field("", description="Roles of groups, such as ops=admin,analysts=editor.")
    oidc_default_role: Literal["", "viewer", "editor", "admin", "owner"] = Field(
        "viewer", description="Role of whoever is in no such group. Empty: they are refused."
    )
    oidc_allow_private: bool = Field(False, description="The provider may be on a private or loopback address.")
    password_sign_in: bool = Field(True, description="Off: people sign in at the provider alone.")
    apprise: bool = Field(
        False, description="Let channels use any service of Apprise by its URL. It needs cliffwatch[apprise]."
    )
    heartbeat_url: str = Field(
        "", description="Address that is asked each minute while all is well, so that a dead process is noticed there."
    )

    import_dir: Path | None = Field(
        None, description="Folder with exports of a warehouse. Empty: import in the data folder."
    )
    upload_dir: Path | None = Field(
        None, description="Folder of files that people upload; every process must see it. Empty: in the data folder."
    )
    max_upload_mb: int = Field(500, ge=1, description="Largest file that people may upload.")
    segment_address: str = Field(
        "", description="Address of the Cliffwatch that “Authorise Segment” asks. Empty: people choose it."
    )
    segment_client_id: str = Field("", description="Client id of the app that is registered there.")
    segment_client_secret: str = Field("", description="Client secret of that app.", repr=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def effective_metadata_url(self) -> str:
        return self.metadata_url or f"sqlite:///{self.metadata_file}"

    @property
    def metadata_file(self) -> Path:
        """Where SQLite has the metadata, unless a URL says that they are elsewhere."""
        return self.data_dir / METADATA

    @property
    def effective_key_file(self) -> Path:
        return self.secret_key_file or self.data_dir / KEY

    @property
    def effective_store(self) -> str | Path:
        """Where events lie: a URL of servers, or a file."""
        return self.store or self.data_dir / EVENTS

    @property
    def effective_backfill_threads(self) -> int:
        """The embedded store has one writer and threads of its own: a second reader gains nothing there."""
        return self.backfill_threads or (2 if self.store else 1)

    @property
    def shares_metadata(self) -> bool:
        """Whether several processes may write the metadata."""
        return not self.effective_metadata_url.startswith("sqlite")

    @property
    def is_shared(self) -> bool:
        """Whether both stores are servers, so that several processes may be one installation."""
        return bool(self.store) and self.shares_metadata

    @property
    def effective_base_url(self) -> str:
        scheme = "https" if self.tls_certificate is not None else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.base_url or f"{scheme}://{host}:{self.port}").rstrip("/")
