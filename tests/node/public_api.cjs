// Drives Segment's own client of the Public API: node public_api.cjs '{"base": "...", "token": "...", "steps": [...]}'
// A step is [api, method, ...arguments]; "$0.data.source.id" stands for a part of what the first step answered.
// Prints what each step answered, as JSON: {"status", "body"}.
const sdk = require("@segment/public-api-sdk-typescript/dist/api");
const options = JSON.parse(process.argv[2]);
const answers = [];

function given(value) {
  if (Array.isArray(value)) return value.map(given);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, given(v)]));
  if (typeof value !== "string" || !value.startsWith("$")) return value;
  const [step, ...path] = value.slice(1).split(".");
  return path.reduce((found, key) => found[key], answers[Number(step)].body);
}

async function main() {
  for (const [name, method, ...args] of options.steps) {
    const api = new sdk[name](options.base);
    api.accessToken = options.token;
    try {
      const { response, body } = await api[method](...given(args));
      answers.push({ status: response.statusCode, body });
    } catch (error) {
      if (!error.response) throw error;
      answers.push({ status: error.statusCode, body: error.body });
    }
  }
  console.log(JSON.stringify(answers));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
