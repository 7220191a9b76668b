// Round trips with Microsoft's JavaScript SDK: a line of input names sign-in and key, a line of output is the result.
// Argument: the folder with the npm packages.
const path = require("path");
const readline = require("readline");
const load = (name) => require(path.resolve(process.argv[2], "@azure", name));
const { ClientSecretCredential } = load("identity");
const { CryptographyClient, KeyClient } = load("keyvault-keys");

const ONCE = { retryOptions: { maxRetries: 0 } };
const BYTES = Buffer.from("the 32 bytes of a database's key");

// An identifier makes the SDK get the key first. It wraps RSA-OAEP itself, with the public key; RSA-OAEP-256 is the vault's work.
async function wrapped(id, credential, algorithm) {
  return (await new CryptographyClient(id, credential, ONCE).wrapKey(algorithm, BYTES)).result;
}

async function unwrapped(id, credential, algorithm, bytes) {
  return Buffer.from((await new CryptographyClient(id, credential, ONCE).unwrapKey(algorithm, bytes)).result).equals(BYTES);
}

const steps = {
  token: async (request, given) => {
    const scope = `https://${request.vault.replace(/^[^.]+\./, "")}/.default`;
    given.lifetime = (await given.credential.getToken(scope)).expiresOnTimestamp - Date.now();
  },
  get: async (request, given) => {
    const key = await given.keys.getKey(request.key, { version: request.version });
    Object.assign(given, { type: key.keyType, bits: key.key.n.length * 8, created: key.properties.createdOn });
  },
  wrap: async (request, given) => (given.wrapped = await wrapped(given.id, given.credential, request.algorithm)),
  unwrap: async (request, given) => (given.same = await unwrapped(given.id, given.credential, request.algorithm, given.wrapped)),
  versions: async (request, given) => {
    given.pages = [];
    for await (const page of given.keys.listPropertiesOfKeyVersions(request.key).byPage({ maxPageSize: 2 }))
      given.pages.push(page.map((one) => [one.version, one.enabled, one.createdOn]));
  },
  list: async (_, given) => {
    given.listed = [];
    for await (const one of given.keys.listPropertiesOfKeys()) given.listed.push([one.name, one.enabled, one.createdOn]);
  },
  deleted: async (request, given) => {
    const key = await given.keys.getDeletedKey(request.key);
    given.deleted = [key.name, key.properties.recoveryId, key.properties.scheduledPurgeDate > key.properties.deletedOn];
  },
};

async function roundTrip(request) {
  const credential = new ClientSecretCredential(request.tenant, request.client, request.secret, ONCE);
  const id = `https://${request.vault}/keys/${[request.key, request.version].filter(Boolean).join("/")}`;
  const given = { id, credential, keys: new KeyClient(`https://${request.vault}`, credential, ONCE) };
  for (const step of request.steps) {
    try {
      await steps[step](request, given);
    } catch (error) {
      const inner = error.details?.error?.innerError?.code;
      return { step, name: error.name, code: error.code, status: error.statusCode, inner, message: error.message };
    }
  }
  const { credential: _, keys: __, wrapped: ___, ...shown } = given;
  return shown;
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin }))
    console.log(JSON.stringify(await roundTrip(JSON.parse(line))));
})();
