"""Whom keg asks for a token. The registry speaks TLS, which this machine trusts for the length of a command."""
import pathlib
import ssl
import unittest

from archives import LAYER, FakeRegistry, registry_image
from keg import KEG, StoreCase, needs, needs_root, run

TRUSTED = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")


@needs_root
@needs("openssl")
@unittest.skipUnless(TRUSTED.exists(), f"needs {TRUSTED}")
class Tokens(StoreCase):
    images = False

    def setUp(self):
        super().setUp()
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.dir / "key", "-out", self.dir / "certificate",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1")
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.dir / "certificate", self.dir / "key")
        self.registry, self.other = FakeRegistry({}, self.tls), FakeRegistry({"/token": (200, {}, b'{"token": "good"}')})
        self.addCleanup(self.registry.stop)
        self.addCleanup(self.other.stop)

    def pull(self, realm):
        """From the registry, which names that token server."""
        def guarded(answer):
            return lambda request: answer if request.headers.get("Authorization") == "Bearer good" else (
                401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}, b"{}")
        answers, _ = registry_image("app", "v1", [LAYER])
        self.registry.answers = {path: guarded(answer) for path, answer in answers.items()} | {"/token": (200, {}, b'{"token": "good"}')}
        return run("unshare", "-m", "--propagation", "private", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"',
                   self.dir / "certificate", TRUSTED, KEG, "--root", self.store, "pull", "-q", f"{self.registry.host}/app:v1", check=False)

    def test_a_registry_over_https_does_not_lead_to_a_token_server_over_http(self):
        result = self.pull(f"http://{self.other.host}/token")
        self.assertEqual(result.returncode, 1)
        self.assertIn("is not reached by https", result.stderr)
        self.assertEqual(self.other.requests, [])
        self.assertEqual(self.pull(f"https://{self.registry.host}/token").returncode, 0)


if __name__ == "__main__":
    unittest.main()
