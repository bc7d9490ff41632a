// The document lies beside the page, wherever that is: /schema, or /schema/command behind the one address.
SwaggerUIBundle({
  url: `${location.pathname.replace(/\/$/, "")}/openapi.json`,
  dom_id: "#interface",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
