-- Sums say of how many of their requests nobody knows the price (what these cost is not in `cost`), and how many were
-- charged the most that they might have taken. Those of the past are worked out from the calls.

ALTER TABLE usage ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_hours ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_hours ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;

UPDATE usage SET unpriced = c.unpriced, estimated = c.estimated FROM (
    SELECT tenant, agent, model, sum(requests * (cost_most IS NULL)) AS unpriced, sum(requests * estimated) AS estimated
    FROM calls WHERE requests > 0 GROUP BY tenant, agent, model
) AS c WHERE c.tenant = usage.tenant AND c.agent = usage.agent AND c.model = usage.model;

UPDATE usage_hours SET unpriced = c.unpriced, estimated = c.estimated FROM (
    SELECT tenant, began_at - began_at % 3600000 AS hour, agent, model,
        sum(requests * (cost_most IS NULL)) AS unpriced, sum(requests * estimated) AS estimated
    FROM calls WHERE requests > 0 GROUP BY tenant, hour, agent, model
) AS c WHERE c.tenant = usage_hours.tenant AND c.hour = usage_hours.hour AND c.agent = usage_hours.agent
    AND c.model = usage_hours.model;

-- JSON [requests, input tokens, output tokens, cost, milliseconds, unpriced, estimated], from here on.
UPDATE runs SET usage = c.usage FROM (
    SELECT run, json_array(sum(requests), sum(input_tokens), sum(output_tokens), sum(cost), sum(ms),
        sum(requests * (cost_most IS NULL)), sum(requests * estimated)) AS usage
    FROM calls WHERE requests > 0 GROUP BY run -- a run that a reset has taken away never comes back
) AS c WHERE c.run = runs.id;

UPDATE correlations SET usage = c.usage FROM (
    SELECT correlation, json_array(sum(requests), sum(input_tokens), sum(output_tokens), sum(cost), sum(ms),
        sum(requests * (cost_most IS NULL)), sum(requests * estimated)) AS usage
    FROM calls WHERE requests > 0 AND run IN (SELECT id FROM runs) GROUP BY correlation
) AS c WHERE c.correlation = correlations.id;
