-- A board of schema 1 as it was left by a killed daemon: runs that worked, waited their turn or their retry, died and
-- were cancelled, artifacts that an AND holds, and an agent that the next daemon may not have any more.

DELETE FROM log;
INSERT INTO log VALUES
    (1, x'01a1fd370a0b734c9e198cba12bd4b47', 37, 12, 1, 1795219200000);

INSERT INTO artifacts VALUES
    (2, x'01a1fd370a5f72829b265bcc825d29d4', 'default', 'A', 'external', 'Public', NULL, x'01a1fd370a5f7d90b8a7b6186db346db', NULL, NULL, '["t"]', 1, 1795219200000, CAST('{"n":0}' AS BLOB)),
    (5, x'01a1fd370a61717b9777da35d796c4f4', 'default', 'A', 'external', 'Public', NULL, x'01a1fd370a617621bdca2a7f60a59610', NULL, NULL, '["t"]', 1, 1795219200000, CAST('{"n":1}' AS BLOB)),
    (8, x'01a1fd370a627b6683897be69d752d77', 'default', 'A', 'external', 'Public', NULL, x'01a1fd370a627998847f57ea879440d3', NULL, NULL, '["t"]', 1, 1795219200000, CAST('{"n":2}' AS BLOB)),
    (10, x'01a1fd370a6271a4b4e2a2a55da3682a', 'default', 'A', 'external', 'Public', NULL, x'01a1fd370a6272ae83122fb2dac03ef3', NULL, NULL, '["t"]', 1, 1795219200000, CAST('{"n":3}' AS BLOB)),
    (12, x'01a1fd370a637ead835f61cc474d7b86', 'default', 'A', 'external', 'Public', NULL, x'01a1fd370a637ffa86857cf3b30e2d81', NULL, NULL, '["t"]', 1, 1795219200000, CAST('{"n":4}' AS BLOB)),
    (14, x'01a1fd370a6379a8a7362b2bf9ab4b73', 'default', 'A', 'external', 'Public', NULL, x'01a1fd370a637a3c852f88fece558bb3', NULL, NULL, '["t"]', 1, 1795219200000, CAST('{"n":5}' AS BLOB)),
    (16, x'01a1fd370a64737784bacc1c7197a2b3', 'default', 'D', 'external', 'Public', NULL, x'01a1fd370a6472798cef866c516d70a3', NULL, NULL, NULL, 1, 1795219200000, CAST('{"n":1}' AS BLOB)),
    (19, x'01a1fd370a64765c81bf6e04d1f4c736', 'default', 'D', 'external', 'Public', NULL, x'01a1fd370a64796b82e8924573db81e8', NULL, NULL, NULL, 1, 1795219200000, CAST('{"n":2}' AS BLOB)),
    (21, x'01a1fd370a647f3ea7e6e47179c89ad6', 'default', 'D', 'external', 'Public', NULL, x'01a1fd370a64779fb5f4273a321a58f9', NULL, NULL, NULL, 1, 1795219200000, CAST('{"n":3}' AS BLOB)),
    (23, x'01a1fd370a657ee2ae1751510d38bdba', 'default', 'B', 'external', 'Public', NULL, x'01a1fd370a657c218ce0d07e6d1b468d', NULL, NULL, NULL, 1, 1795219200000, CAST('{"n":1}' AS BLOB)),
    (26, x'01a1fd370a67763c8ab410db13ee8938', 'default', 'C', 'external', 'Public', NULL, x'01a1fd370a627998847f57ea879440d3', NULL, NULL, NULL, 1, 1795219200000, CAST('{"n":5}' AS BLOB)),
    (28, x'01a1fd370a67797d8dabc7e7ce5c06d4', 'default', 'E', 'a', 'Public', NULL, x'01a1fd370a5f7d90b8a7b6186db346db', x'01a1fd370a5f76beb88847da43a0fb96', NULL, '["t"]', 1, 1795219200000, CAST('{"n":1}' AS BLOB));

INSERT INTO artifact_tags VALUES
    ('default', 't', 2),
    ('default', 't', 5),
    ('default', 't', 8),
    ('default', 't', 10),
    ('default', 't', 12),
    ('default', 't', 14),
    ('default', 't', 28);

INSERT INTO runs VALUES
    (1, x'01a1fd370a5f76beb88847da43a0fb96', 'default', 'a', x'01a1fd370a5f7d90b8a7b6186db346db', 'completed', NULL, NULL, 2, 1, 1, 1, 1, 1, 1, 0, 1795219200000, 1795219200000, 1795219200000, 1, '["01a1fd37-0a5f-7282-9b26-5bcc825d29d4"]', '["01a1fd37-0a67-797d-8dab-c7e7ce5c06d4"]', NULL, NULL),
    (2, x'01a1fd370a617fe1a727d7a9c23de67b', 'default', 'a', x'01a1fd370a617621bdca2a7f60a59610', 'dead', NULL, NULL, 2, 2, 1, 1, 1, 1, 1, 0, 1795219200000, 1795219200000, 1795219200000, 1, '["01a1fd37-0a61-717b-9777-da35d796c4f4"]', '[]', CAST('{"code":"AGENT_FAILED","message":"ValueError: no"}' AS BLOB), NULL),
    (3, x'01a1fd370a6274838ee792ec30f65b39', 'default', 'a', x'01a1fd370a627998847f57ea879440d3', 'running', NULL, NULL, 2, 3, 1, 1, 1, 1, 1, 0, 1795219200000, 1795219200000, NULL, NULL, '["01a1fd37-0a62-7b66-8389-7be69d752d77"]', '[]', NULL, NULL),
    (4, x'01a1fd370a627c1db0918422f8ae92a8', 'default', 'a', x'01a1fd370a6272ae83122fb2dac03ef3', 'running', NULL, NULL, 2, 3, 1, 1, 1, 1, 1, 0, 1795219200000, 1795219200000, NULL, NULL, '["01a1fd37-0a62-71a4-b4e2-a2a55da3682a"]', '[]', NULL, NULL),
    (5, x'01a1fd370a6377efaf70b8bbb9890af7', 'default', 'a', x'01a1fd370a637ffa86857cf3b30e2d81', 'ready', NULL, NULL, 2, 3, 1, 1, 1, 1, 0, 0, 1795219200000, NULL, NULL, NULL, '["01a1fd37-0a63-7ead-835f-61cc474d7b86"]', '[]', NULL, NULL),
    (6, x'01a1fd370a637bfdab1e60862f29af47', 'default', 'a', x'01a1fd370a637a3c852f88fece558bb3', 'cancelled', NULL, NULL, 2, 3, 1, 1, 1, 1, 1, 0, 1795219200000, NULL, 1795219200000, 1, '["01a1fd37-0a63-79a8-a736-2b2bf9ab4b73"]', '[]', NULL, NULL),
    (7, x'01a1fd370a64713bbc6260fb15eeb3b2', 'default', 'gone', x'01a1fd370a6472798cef866c516d70a3', 'running', NULL, NULL, 2, 3, 1, 1, 1, 1, 1, 0, 1795219200000, 1795219200000, NULL, NULL, '["01a1fd37-0a64-7377-84ba-cc1c7197a2b3"]', '[]', NULL, NULL),
    (8, x'01a1fd370a6478d998a235d770d21eb0', 'default', 'gone', x'01a1fd370a64796b82e8924573db81e8', 'ready', NULL, NULL, 2, 4, 1, 1, 1, 1, 0, 0, 1795219200000, NULL, NULL, NULL, '["01a1fd37-0a64-765c-81bf-6e04d1f4c736"]', '[]', NULL, NULL),
    (9, x'01a1fd370a6476f1a7c87451697ba570', 'default', 'gone', x'01a1fd370a64779fb5f4273a321a58f9', 'ready', NULL, NULL, 2, 4, 1, 1, 1, 1, 0, 0, 1795219200000, NULL, NULL, NULL, '["01a1fd37-0a64-7f3e-a7e6-e47179c89ad6"]', '[]', NULL, NULL),
    (10, x'01a1fd370a657766afdf86771a938e85', 'default', 'b', x'01a1fd370a657c218ce0d07e6d1b468d', 'waiting', 'retry', 1795219258286, 2, 4, 1, 1, 2, 1, 1, 0, 1795219200000, 1795219200000, NULL, NULL, '["01a1fd37-0a65-7ee2-ae17-51510d38bdba"]', '[]', CAST('{"code":"AGENT_FAILED","message":"ValueError: no"}' AS BLOB), NULL),
    (11, x'01a1fd370a677f5ca814701f5d891f43', 'default', 'ab', x'01a1fd370a627998847f57ea879440d3', 'running', NULL, NULL, 2, 5, 1, 1, 1, 1, 1, 0, 1795219200000, 1795219200000, NULL, NULL, '["01a1fd37-0a62-7b66-8389-7be69d752d77","01a1fd37-0a67-763c-8ab4-10db13ee8938"]', '[]', NULL, NULL);

INSERT INTO consumptions VALUES
    (2, x'01a1fd370a5f76beb88847da43a0fb96', 'default', 'a', 1795219200000);

INSERT INTO correlations VALUES
    (1, x'01a1fd370a5f7d90b8a7b6186db346db', 'default', 'completed', 'native', '', NULL, 1, 1, 0, 1, 1, 2, 0, 1, 0, 0, NULL, 1795219200000, 1795219200000, 1795219200000),
    (4, x'01a1fd370a617621bdca2a7f60a59610', 'default', 'failed', 'native', '', NULL, 1, 4, 0, 1, 2, 1, 1, 0, 1, 0, NULL, 1795219200000, 1795219200000, 1795219200000),
    (7, x'01a1fd370a627998847f57ea879440d3', 'default', 'active', 'native', '', NULL, 1, 7, 2, 2, 5, 2, 0, 0, 0, 0, NULL, 1795219200000, 1795219200000, NULL),
    (9, x'01a1fd370a6272ae83122fb2dac03ef3', 'default', 'active', 'native', '', NULL, 1, 9, 1, 1, 3, 1, 0, 0, 0, 0, NULL, 1795219200000, 1795219200000, NULL),
    (11, x'01a1fd370a637ffa86857cf3b30e2d81', 'default', 'active', 'native', '', NULL, 1, 11, 1, 1, 3, 1, 0, 0, 0, 0, NULL, 1795219200000, 1795219200000, NULL),
    (13, x'01a1fd370a637a3c852f88fece558bb3', 'default', 'cancelled', 'native', '', NULL, 1, 13, 0, 1, 3, 1, 0, 0, 0, 0, NULL, 1795219200000, 1795219200000, 1795219200000),
    (15, x'01a1fd370a6472798cef866c516d70a3', 'default', 'active', 'native', '', NULL, 1, 15, 1, 1, 3, 1, 0, 0, 0, 0, NULL, 1795219200000, 1795219200000, NULL),
    (18, x'01a1fd370a64796b82e8924573db81e8', 'default', 'active', 'native', '', NULL, 1, 18, 1, 1, 4, 1, 0, 0, 0, 0, NULL, 1795219200000, 1795219200000, NULL),
    (20, x'01a1fd370a64779fb5f4273a321a58f9', 'default', 'active', 'native', '', NULL, 1, 20, 1, 1, 4, 1, 0, 0, 0, 0, NULL, 1795219200000, 1795219200000, NULL),
    (22, x'01a1fd370a657c218ce0d07e6d1b468d', 'default', 'active', 'native', '', NULL, 1, 22, 1, 1, 4, 1, 0, 0, 0, 0, NULL, 1795219200000, 1795219200000, NULL);

INSERT INTO slots VALUES
    (x'01a1fd370a5f7d90b8a7b6186db346db', 'ab', 2, x'01a1fd370a5f72829b265bcc825d29d4', 'A', 1),
    (x'01a1fd370a617621bdca2a7f60a59610', 'ab', 5, x'01a1fd370a61717b9777da35d796c4f4', 'A', 1),
    (x'01a1fd370a6272ae83122fb2dac03ef3', 'ab', 10, x'01a1fd370a6271a4b4e2a2a55da3682a', 'A', 1),
    (x'01a1fd370a637a3c852f88fece558bb3', 'ab', 14, x'01a1fd370a6379a8a7362b2bf9ab4b73', 'A', 1),
    (x'01a1fd370a637ffa86857cf3b30e2d81', 'ab', 12, x'01a1fd370a637ead835f61cc474d7b86', 'A', 1);

INSERT INTO events VALUES
    (1, 'default', 'correlation.started', 1795219200000, x'01a1fd370a5f7d90b8a7b6186db346db', NULL, NULL, NULL, CAST('{"round":1,"dialect":"native","name":""}' AS BLOB)),
    (2, 'default', 'artifact.published', 1795219200000, x'01a1fd370a5f7d90b8a7b6186db346db', NULL, NULL, 2, CAST('{"woke":["01a1fd37-0a5f-76be-b888-47da43a0fb96"],"held":["ab"]}' AS BLOB)),
    (3, 'default', 'run.started', 1795219200000, x'01a1fd370a5f7d90b8a7b6186db346db', 'a', x'01a1fd370a5f76beb88847da43a0fb96', NULL, CAST('{"attempt":1,"fence":1,"inputs":["01a1fd37-0a5f-7282-9b26-5bcc825d29d4"]}' AS BLOB)),
    (4, 'default', 'correlation.started', 1795219200000, x'01a1fd370a617621bdca2a7f60a59610', NULL, NULL, NULL, CAST('{"round":1,"dialect":"native","name":""}' AS BLOB)),
    (5, 'default', 'artifact.published', 1795219200000, x'01a1fd370a617621bdca2a7f60a59610', NULL, NULL, 5, CAST('{"woke":["01a1fd37-0a61-7fe1-a727-d7a9c23de67b"],"held":["ab"]}' AS BLOB)),
    (6, 'default', 'run.started', 1795219200000, x'01a1fd370a617621bdca2a7f60a59610', 'a', x'01a1fd370a617fe1a727d7a9c23de67b', NULL, CAST('{"attempt":1,"fence":1,"inputs":["01a1fd37-0a61-717b-9777-da35d796c4f4"]}' AS BLOB)),
    (7, 'default', 'correlation.started', 1795219200000, x'01a1fd370a627998847f57ea879440d3', NULL, NULL, NULL, CAST('{"round":1,"dialect":"native","name":""}' AS BLOB)),
    (8, 'default', 'artifact.published', 1795219200000, x'01a1fd370a627998847f57ea879440d3', NULL, NULL, 8, CAST('{"woke":["01a1fd37-0a62-7483-8ee7-92ec30f65b39"],"held":["ab"]}' AS BLOB)),
    (9, 'default', 'correlation.started', 1795219200000, x'01a1fd370a6272ae83122fb2dac03ef3', NULL, NULL, NULL, CAST('{"round":1,"dialect":"native","name":""}' AS BLOB)),
    (10, 'default', 'artifact.published', 1795219200000, x'01a1fd370a6272ae83122fb2dac03ef3', NULL, NULL, 10, CAST('{"woke":["01a1fd37-0a62-7c1d-b091-8422f8ae92a8"],"held":["ab"]}' AS BLOB)),
    (11, 'default', 'correlation.started', 1795219200000, x'01a1fd370a637ffa86857cf3b30e2d81', NULL, NULL, NULL, CAST('{"round":1,"dialect":"native","name":""}' AS BLOB)),
    (12, 'default', 'artifact.published', 1795219200000, x'01a1fd370a637ffa86857cf3b30e2d81', NULL, NULL, 12, CAST('{"woke":["01a1fd37-0a63-77ef-af70-b8bbb9890af7"],"held":["ab"]}' AS BLOB)),
    (13, 'default', 'correlation.started', 1795219200000, x'01a1fd370a637a3c852f88fece558bb3', NULL, NULL, NULL, CAST('{"round":1,"dialect":"native","name":""}' AS BLOB)),
    (14, 'default', 'artifact.published', 1795219200000, x'01a1fd370a637a3c852f88fece558bb3', NULL, NULL, 14, CAST('{"woke":["01a1fd37-0a63-7bfd-ab1e-60862f29af47"],"held":["ab"]}' AS BLOB)),
    (15, 'default', 'correlation.started', 1795219200000, x'01a1fd370a6472798cef866c516d70a3', NULL, NULL, NULL, CAST('{"round":1,"dialect":"native","name":""}' AS BLOB)),
    (16, 'default', 'artifact.published', 1795219200000, x'01a1fd370a6472798cef866c516d70a3', NULL, NULL, 16, CAST('{"woke":["01a1fd37-0a64-713b-bc62-60fb15eeb3b2"],"held":[]}' AS BLOB)),
    (17, 'default', 'run.started', 1795219200000, x'01a1fd370a6472798cef866c516d70a3', 'gone', x'01a1fd370a64713bbc6260fb15eeb3b2', NULL, CAST('{"attempt":1,"fence":1,"inputs":["01a1fd37-0a64-7377-84ba-cc1c7197a2b3"]}' AS BLOB)),
    (18, 'default', 'correlation.started', 1795219200000, x'01a1fd370a64796b82e8924573db81e8', NULL, NULL, NULL, CAST('{"round":1,"dialect":"native","name":""}' AS BLOB)),
    (19, 'default', 'artifact.published', 1795219200000, x'01a1fd370a64796b82e8924573db81e8', NULL, NULL, 19, CAST('{"woke":["01a1fd37-0a64-78d9-98a2-35d770d21eb0"],"held":[]}' AS BLOB)),
    (20, 'default', 'correlation.started', 1795219200000, x'01a1fd370a64779fb5f4273a321a58f9', NULL, NULL, NULL, CAST('{"round":1,"dialect":"native","name":""}' AS BLOB)),
    (21, 'default', 'artifact.published', 1795219200000, x'01a1fd370a64779fb5f4273a321a58f9', NULL, NULL, 21, CAST('{"woke":["01a1fd37-0a64-76f1-a7c8-7451697ba570"],"held":[]}' AS BLOB)),
    (22, 'default', 'correlation.started', 1795219200000, x'01a1fd370a657c218ce0d07e6d1b468d', NULL, NULL, NULL, CAST('{"round":1,"dialect":"native","name":""}' AS BLOB)),
    (23, 'default', 'artifact.published', 1795219200000, x'01a1fd370a657c218ce0d07e6d1b468d', NULL, NULL, 23, CAST('{"woke":["01a1fd37-0a65-7766-afdf-86771a938e85"],"held":[]}' AS BLOB)),
    (24, 'default', 'run.started', 1795219200000, x'01a1fd370a657c218ce0d07e6d1b468d', 'b', x'01a1fd370a657766afdf86771a938e85', NULL, CAST('{"attempt":1,"fence":1,"inputs":["01a1fd37-0a65-7ee2-ae17-51510d38bdba"]}' AS BLOB)),
    (25, 'default', 'run.retrying', 1795219200000, x'01a1fd370a657c218ce0d07e6d1b468d', 'b', x'01a1fd370a657766afdf86771a938e85', NULL, CAST('{"attempt":2,"reason":"error","error":{"code":"AGENT_FAILED","message":"ValueError: no"},"due_at":"2026-11-21T00:00:58.286Z"}' AS BLOB)),
    (26, 'default', 'artifact.published', 1795219200000, x'01a1fd370a627998847f57ea879440d3', NULL, NULL, 26, CAST('{"woke":["01a1fd37-0a67-7f5c-a814-701f5d891f43"],"held":[]}' AS BLOB)),
    (27, 'default', 'run.started', 1795219200000, x'01a1fd370a627998847f57ea879440d3', 'ab', x'01a1fd370a677f5ca814701f5d891f43', NULL, CAST('{"attempt":1,"fence":1,"inputs":["01a1fd37-0a62-7b66-8389-7be69d752d77","01a1fd37-0a67-763c-8ab4-10db13ee8938"]}' AS BLOB)),
    (28, 'default', 'artifact.published', 1795219200000, x'01a1fd370a5f7d90b8a7b6186db346db', 'a', x'01a1fd370a5f76beb88847da43a0fb96', 28, CAST('{"woke":[],"held":[]}' AS BLOB)),
    (29, 'default', 'run.completed', 1795219200000, x'01a1fd370a5f7d90b8a7b6186db346db', 'a', x'01a1fd370a5f76beb88847da43a0fb96', NULL, CAST('{"attempt":1,"inputs":["01a1fd37-0a5f-7282-9b26-5bcc825d29d4"],"outputs":["01a1fd37-0a67-797d-8dab-c7e7ce5c06d4"],"duration_ms":0}' AS BLOB)),
    (30, 'default', 'correlation.completed', 1795219200000, x'01a1fd370a5f7d90b8a7b6186db346db', NULL, NULL, NULL, CAST('{"round":1,"artifact_count":2,"error_count":0,"unjoined":[{"agent":"ab","artifacts":["01a1fd37-0a5f-7282-9b26-5bcc825d29d4"]}]}' AS BLOB)),
    (31, 'default', 'run.failed', 1795219200000, x'01a1fd370a617621bdca2a7f60a59610', 'a', x'01a1fd370a617fe1a727d7a9c23de67b', NULL, CAST('{"attempt":1,"error":{"code":"AGENT_FAILED","message":"ValueError: no"}}' AS BLOB)),
    (32, 'default', 'correlation.failed', 1795219200000, x'01a1fd370a617621bdca2a7f60a59610', NULL, NULL, NULL, CAST('{"round":1,"artifact_count":1,"error_count":1,"unjoined":[{"agent":"ab","artifacts":["01a1fd37-0a61-717b-9777-da35d796c4f4"]}],"reason":null,"outcome":null}' AS BLOB)),
    (33, 'default', 'run.started', 1795219200000, x'01a1fd370a627998847f57ea879440d3', 'a', x'01a1fd370a6274838ee792ec30f65b39', NULL, CAST('{"attempt":1,"fence":1,"inputs":["01a1fd37-0a62-7b66-8389-7be69d752d77"]}' AS BLOB)),
    (34, 'default', 'run.started', 1795219200000, x'01a1fd370a6272ae83122fb2dac03ef3', 'a', x'01a1fd370a627c1db0918422f8ae92a8', NULL, CAST('{"attempt":1,"fence":1,"inputs":["01a1fd37-0a62-71a4-b4e2-a2a55da3682a"]}' AS BLOB)),
    (35, 'default', 'run.cancelled', 1795219200000, x'01a1fd370a637a3c852f88fece558bb3', 'a', x'01a1fd370a637bfdab1e60862f29af47', NULL, CAST('{"attempt":1}' AS BLOB)),
    (36, 'default', 'correlation.cancelled', 1795219200000, x'01a1fd370a637a3c852f88fece558bb3', NULL, NULL, NULL, CAST('{"round":1,"artifact_count":1,"error_count":0,"unjoined":[{"agent":"ab","artifacts":["01a1fd37-0a63-79a8-a736-2b2bf9ab4b73"]}]}' AS BLOB));

INSERT INTO counters VALUES
    ('default', 'alltime', 'artifacts', '', '', 12),
    ('default', 'alltime', 'executions', '', '', 1),
    ('default', 'artifact', 'A', 'external', 'Public', 6),
    ('default', 'artifact', 'B', 'external', 'Public', 1),
    ('default', 'artifact', 'C', 'external', 'Public', 1),
    ('default', 'artifact', 'D', 'external', 'Public', 3),
    ('default', 'artifact', 'E', 'a', 'Public', 1),
    ('default', 'consumed', 'a', 'A', '', 1),
    ('default', 'correlation', 'active', 'native', '', 7),
    ('default', 'correlation', 'cancelled', 'native', '', 1),
    ('default', 'correlation', 'completed', 'native', '', 1),
    ('default', 'correlation', 'failed', 'native', '', 1),
    ('default', 'execution', 'a', '2026-11-21T00:00:00Z', '', 1),
    ('default', 'run', 'a', 'cancelled', '', 1),
    ('default', 'run', 'a', 'completed', '', 1),
    ('default', 'run', 'a', 'dead', '', 1),
    ('default', 'run', 'a', 'ready', '', 1),
    ('default', 'run', 'a', 'running', '', 2),
    ('default', 'run', 'ab', 'running', '', 1),
    ('default', 'run', 'b', 'running', '', 0),
    ('default', 'run', 'b', 'waiting', '', 1),
    ('default', 'run', 'gone', 'ready', '', 2),
    ('default', 'run', 'gone', 'running', '', 1),
    ('default', 'tag', 't', '', '', 7);
