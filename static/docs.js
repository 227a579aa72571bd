// Swagger UI over the daemon's own document. A file and not an inline script, so that the page works under a
// Content-Security-Policy that allows no inline scripts.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  // Otherwise a daemon that is not on localhost sends its document to Swagger's public validator.
  validatorUrl: null,
});
