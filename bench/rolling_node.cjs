// A program that uses @segment/analytics-node as its owner would, until its standard input ends:
// node rolling_node.cjs '{"host": "...", "key": "...", "name": "...", "pace": 40}' (pace in milliseconds)
// Prints how many events it tracked and what the SDK emitted as errors, as JSON, when all is flushed.
const { Analytics } = require("@segment/analytics-node");
const { host, key, name, pace } = JSON.parse(process.argv[2]);
const analytics = new Analytics({ writeKey: key, host, flushInterval: 200 });
const errors = [];
analytics.on("error", (error) => errors.push(String(error.reason ?? error)));
let sent = 0;
const timer = setInterval(() => {
  analytics.track({ userId: `${name}-${sent}`, event: "Order Completed", properties: { n: sent } });
  sent += 1;
}, pace);
process.stdin.resume();
process.stdin.on("end", async () => {
  clearInterval(timer);
  await analytics.closeAndFlush({ timeout: 60000 });
  console.log(JSON.stringify({ sent, errors }));
  process.exit(0);
});
