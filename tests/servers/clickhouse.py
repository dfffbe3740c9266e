"""Real ClickHouse servers and ZooKeeper on loopback: one alone, or a cluster of shards and replicas."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clickhouse_driver import Client
from clickhouse_driver.errors import Error
from tests.servers.ports import free_ports

CLUSTER = "cliffwatch"
_SERVER = shutil.which("clickhouse-server", path="/usr/bin:/usr/sbin:/usr/local/bin") or "/usr/sbin/clickhouse-server"
_CONFIG = """<yandex>
<logger><level>warning</level><log>{folder}/server.log</log><errorlog>{folder}/error.log</errorlog></logger>
<tcp_port>{tcp}</tcp_port><http_port>{http}</http_port><interserver_http_port>{inter}</interserver_http_port>
<interserver_http_host>{host}</interserver_http_host><listen_host>{host}</listen_host>
<path>{data}/</path><tmp_path>{data}/tmp/</tmp_path><users_config>users.xml</users_config>
<default_profile>default</default_profile><default_database>default</default_database>
<mark_cache_size>50000000</mark_cache_size><max_concurrent_queries>200</max_concurrent_queries>
<max_open_files>4096</max_open_files>
<merge_tree><old_parts_lifetime>2</old_parts_lifetime><cleanup_delay_period>1</cleanup_delay_period></merge_tree>
{cluster}</yandex>"""
_USERS = """<yandex><profiles><default><max_memory_usage>1000000000</max_memory_usage><max_threads>2</max_threads>
<background_pool_size>16</background_pool_size><distributed_ddl_task_timeout>60</distributed_ddl_task_timeout>
</default></profiles>
<users><default><password></password><networks><ip>127.0.0.1</ip><ip>10.77.0.0/24</ip></networks><profile>default</profile>
<quota>default</quota></default></users><quotas><default></default></quotas></yandex>"""


@dataclass(frozen=True)
class Place:
    """Where a server listens, and the command that starts another one there (in a network namespace)."""

    host: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


HERE = Place()


class Process:
    """A server that can be ended, killed, stopped and started again."""

    def __init__(self, folder: Path, command: list[str], port: int, place: Place = HERE) -> None:
        self.folder = folder
        self.port = port
        self.host = place.host
        self._command = [*place.prefix, *command]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with (self.folder / "out.log").open("ab") as out:
            self._process = subprocess.Popen(self._command, stdout=out, stderr=out, cwd=self.folder)

    def wait(self, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, f"{self._command} ended: {self.log()}"
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1):
                return
            time.sleep(0.05)
        raise AssertionError(f"{self._command} did not listen within {seconds} s: {self.log()}")

    def log(self) -> str:
        paths = (self.folder / name for name in ("out.log", "error.log"))
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in paths if path.exists())

    def kill(self) -> None:
        """As `kill -9` does, or a machine that goes away."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """It answers nobody, though its connections stay: as behind a cable that was cut."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(20)


class ZooKeeper(Process):
    """One ZooKeeper server."""

    def __init__(self, folder: Path, place: Place = HERE) -> None:
        folder.mkdir(parents=True)
        (port,) = free_ports(1)
        (folder / "zoo.cfg").write_text(
            f"tickTime=500\ndataDir={folder}/data\nclientPort={port}\nclientPortAddress={place.host}\n"
            "admin.enableServer=false\nmaxClientCnxns=200\nmaxSessionTimeout=10000\n4lw.commands.whitelist=ruok\n"
        )
        (folder / "log4j.properties").write_text(
            "log4j.rootLogger=WARN, CONSOLE\nlog4j.appender.CONSOLE=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.CONSOLE.layout=org.apache.log4j.PatternLayout\n"
        )
        command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.forceSync=no"]
        command += ["-cp", f"{folder}:/usr/share/java/zookeeper.jar:/usr/share/java/*"]
        command += ["org.apache.zookeeper.server.quorum.QuorumPeerMain", str(folder / "zoo.cfg")]
        super().__init__(folder, command, port, place)

    def wait(self, seconds: float = 60.0) -> None:
        """Until it serves: a ClickHouse of 2018 that starts before then ends with a segmentation fault."""
        super().wait(seconds)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 5) as asked:
                asked.sendall(b"ruok")
                if asked.recv(16) == b"imok":
                    return
            time.sleep(0.05)
        raise AssertionError(f"ZooKeeper did not serve within {seconds} s: {self.log()}")


class Server(Process):
    """One ClickHouse server; `data` may lie elsewhere (on a small disk)."""

    def __init__(
        self,
        folder: Path,
        ports: tuple[int, int, int],
        cluster: str = "",
        data: Path | None = None,
        place: Place = HERE,
    ) -> None:
        folder.mkdir(parents=True)
        self.data = data or folder / "data"
        (self.data / "tmp").mkdir(parents=True, exist_ok=True)
        tcp, http, inter = ports
        (folder / "config.xml").write_text(
            _CONFIG.format(
                folder=folder, data=self.data, host=place.host, tcp=tcp, http=http, inter=inter, cluster=cluster
            )
        )
        (folder / "users.xml").write_text(_USERS)
        super().__init__(folder, [_SERVER, f"--config-file={folder / 'config.xml'}"], tcp, place)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        client = Client(self.host, port=self.port, connect_timeout=5, send_receive_timeout=30)
        try:
            found: list[tuple[object, ...]] = client.execute(sql)
            return found
        finally:
            client.disconnect()

    def wait_answers(self, seconds: float = 60.0) -> None:
        """Until it answers. It is started again when it hangs: one of 2018 may, after a failure at its start."""
        try:
            self.wait(seconds / 2)
        except AssertionError:
            self.kill()
            self.start()
            self.wait(seconds)
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.query("SELECT 1")
                return
            except (Error, OSError, EOFError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


class Single:
    """One server without ZooKeeper."""

    def __init__(self, folder: Path) -> None:
        one, two, three = free_ports(3)
        self.server = Server(folder / "single", (one, two, three))

    def __enter__(self) -> Single:
        with contextlib.ExitStack() as failed:
            failed.push(self.__exit__)
            self.server.start()
            self.server.wait_answers()
            failed.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.kill()

    @property
    def url(self) -> str:
        return f"clickhouse://default@127.0.0.1:{self.server.port}/cliffwatch"


class Cluster:
    """`shards` x `replicas` servers and a ZooKeeper.

    `small` puts one server's data into that folder; `places` are those of ZooKeeper and of each server.
    """

    def __init__(
        self,
        folder: Path,
        shards: int = 2,
        replicas: int = 2,
        small: Path | None = None,
        places: Sequence[Place] = (),
    ) -> None:
        places = places or [HERE] * (1 + shards * replicas)
        self.zookeeper = ZooKeeper(folder / "zookeeper", places[0])
        ports = free_ports(3 * shards * replicas)
        triples = [(ports[i], ports[i + 1], ports[i + 2]) for i in range(0, len(ports), 3)]
        layout = "".join(
            "<shard><internal_replication>true</internal_replication>"
            + "".join(
                f"<replica><host>{places[1 + shard * replicas + replica].host}</host>"
                f"<port>{triples[shard * replicas + replica][0]}</port></replica>"
                for replica in range(replicas)
            )
            + "</shard>"
            for shard in range(shards)
        )
        common = (
            f"<remote_servers><{CLUSTER}>{layout}</{CLUSTER}></remote_servers>"
            f"<zookeeper><node><host>{places[0].host}</host><port>{self.zookeeper.port}</port></node>"
            "<session_timeout_ms>4000</session_timeout_ms></zookeeper>"
            "<distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>"
        )
        self.servers = [
            Server(
                folder / f"server{number}",
                triples[number],
                common + f"<macros><shard>{number // replicas + 1}</shard>"
                f"<replica>{number % replicas + 1}</replica></macros>",
                data=small if small is not None and number == 0 else None,
                place=places[1 + number],
            )
            for number in range(shards * replicas)
        ]
        self.replicas = replicas

    def __enter__(self) -> Cluster:
        with contextlib.ExitStack() as failed:
            failed.push(self.__exit__)
            self.zookeeper.start()
            self.zookeeper.wait()
            for server in self.servers:
                server.start()
            for server in self.servers:
                server.wait_answers()
            failed.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.kill()
        self.zookeeper.kill()

    def shard(self, number: int) -> list[Server]:
        """The replicas of a shard, counted from 0."""
        return self.servers[number * self.replicas : (number + 1) * self.replicas]

    @property
    def url(self) -> str:
        return self.url_of("cliffwatch")

    def url_of(self, database: str) -> str:
        """The store's URL for a database of one's own."""
        hosts = ",".join(f"{server.host}:{server.port}" for server in self.servers)
        return f"clickhouse://default@{hosts}/{database}?cluster={CLUSTER}"
