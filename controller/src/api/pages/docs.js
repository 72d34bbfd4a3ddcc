// Shows the OpenAPI document: operations by tag, types below, calls to reads on the spot.

import { call, element, token } from "./session.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const byId = (id) => document.getElementById(id);

const nameOf = (reference) => reference.split("/").pop();

// A schema as a short text with links to named types.
function typeOf(schema) {
  if (!schema) return "any";
  if (schema.$ref) return element("a", { href: `#type-${nameOf(schema.$ref)}` }, nameOf(schema.$ref));
  const either = schema.oneOf ?? schema.anyOf;
  if (either) return join(either.map(typeOf), " | ");
  if (schema.allOf) return join(schema.allOf.map(typeOf), " & ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const types = [schema.type ?? "any"].flat();
  return join(types.map((type) => plain(type, schema)), " | ");
}

function plain(type, schema) {
  if (type === "array") return join(["[", typeOf(schema.items), "]"], "");
  if (type === "object" && schema.additionalProperties) {
    return join(["{ key: ", typeOf(schema.additionalProperties), " }"], "");
  }
  if (type === "object" && schema.properties) {
    const fields = Object.entries(schema.properties).map(([key, value]) => join([`${key}: `, typeOf(value)], ""));
    return join(["{ ", join(fields, ", "), " }"], "");
  }
  return schema.format ? `${type} (${schema.format})` : type;
}

function join(parts, between) {
  const span = element("span");
  parts.forEach((part, position) => span.append(...(position > 0 && between ? [between] : []), part));
  return span;
}

const paragraphs = (text) => (text ?? "").split("\n\n").filter(Boolean).map((part) => element("p", {}, part));

function rows(heads, lines) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const body = lines.map((cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function parameters(operation) {
  const lines = (operation.parameters ?? []).map((one) => [
    element("code", {}, one.name),
    one.in,
    typeOf(one.schema),
    one.description ?? "",
  ]);
  return lines.length === 0 ? null : rows(["Parameter", "In", "Type", "Meaning"], lines);
}

function answers(operation) {
  const lines = Object.entries(operation.responses ?? {}).map(([status, response]) => {
    const content = Object.values(response.content ?? {})[0];
    return [element("code", {}, status), content ? typeOf(content.schema) : "–", response.description ?? ""];
  });
  return rows(["Answer", "Body", "Meaning"], lines);
}

function body(operation) {
  const content = Object.values(operation.requestBody?.content ?? {})[0];
  return content ? element("p", {}, "Body: ", typeOf(content.schema)) : null;
}

// Reads without sockets can be tried with the status page's token.
function trial(method, path, operation) {
  if (method !== "get" || operation.responses["101"] || !operation.security) return null;
  const input = element("input", { value: path, "aria-label": "Path to call", size: 60 });
  const output = element("pre", { hidden: "" });
  const button = element("button", { type: "button" }, "Call");
  button.addEventListener("click", async () => {
    output.hidden = false;
    if (!token.get()) {
      output.textContent = "Log in on the status page first.";
      return;
    }
    try {
      output.textContent = JSON.stringify(await call(input.value), null, 2);
    } catch (error) {
      output.textContent = `${error.code ?? "failed"}: ${error.message}`;
    }
  });
  return element("div", { class: "trial" }, input, " ", button, output);
}

function operation(method, path, one) {
  const summary = element(
    "summary",
    {},
    element("span", { class: `method ${method}` }, method.toUpperCase()),
    element("code", {}, path),
    ` ${one.summary ?? ""}`,
  );
  const parts = [...paragraphs(one.description), parameters(one), body(one), answers(one), trial(method, path, one)];
  const details = element("details", { id: one.operationId }, summary, ...parts);
  details.dataset.text = `${method} ${path} ${one.summary} ${one.operationId}`.toLowerCase();
  return details;
}

function operations(document) {
  return (document.tags ?? []).map((tag) => {
    const section = element("section", {}, element("h2", {}, tag.name), element("p", {}, tag.description ?? ""));
    for (const [path, item] of Object.entries(document.paths)) {
      for (const method of METHODS.filter((name) => item[name]?.tags?.includes(tag.name))) {
        section.append(operation(method, path, item[method]));
      }
    }
    return section;
  });
}

function fields(schema) {
  const needed = schema.required ?? [];
  return Object.entries(schema.properties ?? {}).map(([name, field]) => [
    element("code", {}, name),
    typeOf(field),
    needed.includes(name) ? "always" : "",
    field.description ?? "",
  ]);
}

function variants(schema) {
  return (schema.oneOf ?? []).map((variant) =>
    element("div", { class: "variant" }, ...paragraphs(variant.description), rows(["Field", "Type", "", "Meaning"], fields(variant))),
  );
}

function schema([name, one]) {
  const lines = fields(one);
  const content = lines.length > 0 ? [rows(["Field", "Type", "", "Meaning"], lines)] : one.oneOf ? variants(one) : [typeOf(one)];
  const summary = element("summary", {}, element("code", {}, name));
  return element("details", { id: `type-${name}` }, summary, ...paragraphs(one.description), ...content);
}

// A link to a type opens it.
function openTarget() {
  const target = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === "DETAILS") {
    target.open = true;
    target.scrollIntoView();
  }
}

function filter(text) {
  for (const one of byId("operations").querySelectorAll("details")) {
    one.hidden = !text.split(" ").every((word) => one.dataset.text.includes(word));
  }
}

async function run() {
  const document = await call("/api/v1/openapi.json");
  byId("about").textContent = document.info.description;
  byId("operations").replaceChildren(...operations(document));
  byId("schemas").replaceChildren(...Object.entries(document.components.schemas).map(schema));
  byId("filter").addEventListener("input", (event) => filter(event.target.value.toLowerCase()));
  window.addEventListener("hashchange", openTarget);
  openTarget();
}

run().catch((error) => {
  byId("about").textContent = `The document could not be loaded: ${error.message}`;
});
