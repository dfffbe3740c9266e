// Drives a Node SDK: node drive.cjs '{"sdk": "...", "host": "...", "key": "...", "calls": [["track", {...}], ...]}'
// Prints what the SDK emitted as errors, as JSON, when everything is flushed.
const options = JSON.parse(process.argv[2]);
const errors = [];

async function segment() {
  const { Analytics } = require("@segment/analytics-node");
  const analytics = new Analytics({
    writeKey: options.key,
    host: options.host,
    path: options.path,
    flushAt: options.flushAt ?? 15,
    flushInterval: 200,
    httpRequestTimeout: options.timeout ?? 10000,
    maxRetries: 5,
    ...(options.oauth ? { oauthSettings: options.oauth } : {}),
  });
  analytics.on("error", (error) => errors.push(String(error.reason ?? error)));
  for (const [method, message] of options.calls) analytics[method](revive(message));
  await analytics.closeAndFlush({ timeout: 30000 });
}

async function rudder() {
  const Rudder = require("@rudderstack/rudder-sdk-node");
  const client = new Rudder(options.key, { dataPlaneUrl: options.host, gzip: options.gzip ?? true, flushInterval: 200 });
  for (const [method, message] of options.calls) client[method](revive(message));
  await new Promise((resolve) => client.flush(resolve));
}

async function jitsu() {
  const { jitsuAnalytics } = require("@jitsu/js");
  const analytics = jitsuAnalytics({
    host: options.host,
    writeKey: options.key,
    s2s: options.s2s ?? false,
    errorPolicy: (message) => errors.push(message),
  });
  for (const [method, ...args] of options.calls) await analytics[method](...args.map(revive));
}

// What JSON cannot carry to this program: lone surrogates are written as {"$lone": true}, dates as {"$date": ms}.
function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  if ("$lone" in value) return "x\ud83cy\u0000";
  if ("$date" in value) return new Date(value.$date);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
}

({ jitsu, rudder, segment })[options.sdk]().then(
  () => {
    console.log(JSON.stringify(errors));
    process.exit(0);
  },
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
