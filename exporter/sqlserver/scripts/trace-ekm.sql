-- Makes an extended-events session that records each call of SQL Server to its EKM provider, for `ekm-exporter run`. A sysadmin, or a login with
-- ALTER ANY EVENT SESSION, runs it on each node; the exporter runs nothing of it, and reads a session under any name.
--   sqlcmd -S n1 -E -b -W -i trace-ekm.sql   (sqlcmd 18: -C trusts a self-signed certificate)
-- An event has the function, the provider and the result: no statement, key, database, login or secret. The two files of 5 MB stand in the folder of
-- the error log. Cost, an estimate until somebody measures it: below a millisecond of processor time for a call, which itself asks the vault for
-- tens of milliseconds, and 4 MB of memory. To read it, the login needs part 2 of login.sql alone.
-- To remove it: DROP EVENT SESSION [ekm_calls] ON SERVER; then delete ekm_calls*.xel. Its files prove nothing after that.
CREATE EVENT SESSION [ekm_calls] ON SERVER
ADD EVENT sqlserver.sec_ekm_provider_called
ADD TARGET package0.event_file (SET filename = N'ekm_calls.xel', max_file_size = 5, max_rollover_files = 2)
WITH (
    MAX_MEMORY = 4096 KB, EVENT_RETENTION_MODE = ALLOW_SINGLE_EVENT_LOSS, MAX_DISPATCH_LATENCY = 5 SECONDS,
    TRACK_CAUSALITY = OFF, STARTUP_STATE = ON
);
GO

ALTER EVENT SESSION [ekm_calls] ON SERVER STATE = START;
GO

-- What runs now: one row for each session with the event. It loses nothing while `dropped_events` and `dropped_buffers` are 0.
SELECT
    s.name AS session_name,
    t.target_name,
    s.create_time AS started_local_time,
    s.dropped_event_count AS dropped_events,
    s.dropped_buffer_count AS dropped_buffers
FROM sys.dm_xe_sessions AS s
INNER JOIN sys.dm_xe_session_events AS e ON e.event_session_address = s.address
INNER JOIN sys.dm_xe_session_targets AS t ON t.event_session_address = s.address
WHERE e.event_name = N'sec_ekm_provider_called';
