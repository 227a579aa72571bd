-- Dead runs by the code of their last failure.

CREATE INDEX runs_by_error ON runs (tenant, CAST(error AS TEXT) ->> 'code', ord, agent) WHERE state = 'dead';
