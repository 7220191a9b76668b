"""What people paste, each with what it must lead to: the start of the title, or a code. A wrong answer is worse than none."""

import pytest

from exporter.explain.explanation import explanation_data, explanation_text
from exporter.explain.search import explain, explain_message, unknown
from exporter.knowledge.codes import both_numbers

TAIL = "(Provider Error - No explanation is available, consult EKM Provider for details)"
LOG = "2026-11-25 14:00:00.12 spid51      "


def headline(text):
    found = explain(text)
    return None if found is None else found.title or f"{both_numbers(found.rows[0].code)} {found.rows[0].symbol}"


# Lines of SQL Server's error log, of its tools and of PowerShell, about anything else than a key.
HARMLESS = """\
Microsoft SQL Server 2017 (RTM-CU13) - 14.0.3076.1 (X64) Developer Edition (64-bit) on Linux (Ubuntu 16.04.6 LTS)
Server process ID is 3077.
Server process ID is 3303.
Process ID 3900 was killed by hostname SQL01, host process ID 3128.
Logging SQL Server messages in file 'C:\\Program Files\\Microsoft SQL Server\\MSSQL16.MSSQLSERVER\\MSSQL\\Log\\ERRORLOG'.
The service account is 'CONTOSO\\svc-sql'. This is an informational message; no user action is required.
Registry startup parameters: -d C:\\SQL\\master.mdf -e C:\\SQL\\ERRORLOG -l C:\\SQL\\mastlog.ldf -T 3226 -T 1222 -T 3605
DBCC TRACEON 3604, server process ID (SPID) 61. This is an informational message only; no user action is required.
DBCC TRACEON 3205, server process ID (SPID) 3105. This is an informational message only; no user action is required.
SQL Server detected 2 sockets with 8 cores per socket and 16 logical processors per socket, 32 total logical processors; using 32 logical processors based on SQL Server licensing.
SQL Server is using 2 sockets and 3008 MB of memory.
Detected 3112 MB of RAM. This is an informational message; no user action is required.
Node configuration: node 0: CPU mask: 0x00000000000000ff:0 Active CPU mask: 0x00000000000000ff:0.
I/O affinity turned on, processor mask 0x80000005. Disk I/Os will execute on CPUs per affinity I/O mask/affinity64 mask config option.
Starting up database 'sales3303'.
Recovery of database 'sales' (6) is 3% complete (approximately 3301 seconds remain). Phase 1 of 3. This is an informational message only.
Recovery completed for database sales (database ID 6) in 3 second(s) (analysis 3113 ms, redo 0 ms, undo 3128 ms.) This is an informational message only.
3106 transactions rolled forward in database 'sales' (6:0). This is an informational message only. No user action is required.
Recovery is writing a checkpoint in database 'sales' (6). This is an informational message only. No user action is required.
Recovery is complete. This is an informational message only. No user action is required.
A self-generated certificate was successfully loaded for encryption.
The certificate [Cert Hash(sha1) "2C5677D76F76D77F802C5677D76F76D77F802C56"] was successfully loaded for encryption.
Server is listening on [ 10.0.0.4 <ipv4> 3008 accept sockets 1].
Server local connection provider is ready to accept connection on [ \\\\.\\pipe\\SQLLocal\\MSSQLSERVER ].
Dedicated admin connection support was established for listening locally on port 3110.
SQL Server is now ready for client connections. This is an informational message; no user action is required.
The SQL Server Network Interface library could not register the Service Principal Name (SPN) [ MSSQLSvc/sql01.contoso.com:1433 ] for the SQL Server service. Windows return code: 0x2098, state: 15.
The SQL Server Network Interface library successfully registered the Service Principal Name (SPN) [ MSSQLSvc/sql01.contoso.com:3101 ] for the SQL Server service.
The Database Mirroring endpoint is now listening for connections.
CHECKDB for database 'sales' finished without errors on 2026-11-20 03:03:03.303 (local time). This is an informational message only; no user action is required.
DBCC CHECKDB (sales) executed by CONTOSO\\svc found 0 errors and repaired 0 errors. Elapsed time: 3 hours 30 minutes 8 seconds.
CHECKDB found 0 allocation errors and 0 consistency errors in database 'sales'.
There are 3306 rows in 3019 pages for object "orders".
Database backed up. Database: sales, creation date(time): 2024/03/03(10:10:10), pages dumped: 3303, first LSN: 3077:3128:37, last LSN: 3900:3106:1, number of dump devices: 1, device information: (FILE=1, TYPE=DISK: {'D:\\b\\sales.bak'}). This is an informational message only. No user action is required.
Log was backed up. Database: sales, creation date(time): 2024/03/03(10:10:10), first LSN: 3303:3077:1, last LSN: 3304:3112:1, number of dump devices: 1, device information: (FILE=3303, TYPE=DISK: {'D:\\b\\sales.trn'}). This is an informational message only.
BACKUP DATABASE successfully processed 3303 pages in 3.077 seconds (3128.113 MB/sec).
Processed 3106 pages for database 'sales', file 'sales' on file 1.
100 percent processed.
BACKUP LOG successfully processed 3008 pages in 0.401 seconds (404.112 MB/sec).
(3303 rows affected)
3077 rows affected
(3900 Zeilen betroffen)
Completion time: 2026-11-25T14:00:00.3303077+01:00
Login succeeded for user 'CONTOSO\\svc-sql'. Connection made using Windows authentication. [CLIENT: 10.33.0.8]
Transaction (Process ID 3106) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.
deadlock-list deadlock victim=process3077 process id=process3077 taskpriority=0 logused=3303 waitresource=KEY: 6:3303 ownerId=3900 spid=3128 sbid=0 ecid=0
waiter event=wait type=e_waitNone id=process3303
SQL Server has encountered 3113 occurrence(s) of I/O requests taking longer than 15 seconds to complete on file [D:\\data\\sales.mdf] in database id 6. The OS file handle is 0x0000000000000CE7.
SQL Server has encountered 404 occurrence(s) of cachestore flush for the 'SQL Plans' cachestore (part of plan cache) due to some database maintenance or reconfigure operations.
A significant part of sql server process memory has been paged out. Duration: 3303 seconds. Working set (KB): 3077, committed (KB): 3900, memory utilization: 50%.
Configuration option 'max server memory (MB)' changed from 3128 to 3303. Run the RECONFIGURE statement to install.
Setting database option RECOVERY to FULL for database 'sales'.
Error: 17828, Severity: 20, State: 3.
Error: 18210, Severity: 16, State: 1.
Error: 1205, Severity: 13, State: 51.
Always On Availability Groups connection with secondary database established for primary database 'sales' on the availability replica 'SQL02' with Replica ID: {3303aaaa-3077-3128-3900-310631123113}.
A connection timeout has occurred on a previously established connection to availability replica 'SQL02' with id [3303AAAA-3077-3128-3900-310631123113].
Attempting to load library 'C:\\Program Files\\SQL Server Connector for Microsoft Azure Key Vault\\Microsoft.AzureKeyVaultService.EKM.dll' into memory. This is an informational message only. No user action is required.
Cryptographic provider library 'C:\\Program Files\\SQL Server Connector for Microsoft Azure Key Vault\\Microsoft.AzureKeyVaultService.EKM.dll' loaded into memory. This is an informational message only. No user action is required.
Using 'xpstar.dll' version '2022.160.4175' to execute extended stored procedure 'xp_instance_regread'. This is an informational message only; no user action is required.
The client was unable to reuse a session with SPID 3106, which had been reset for connection pooling. The failure ID is 29.
Timeout occurred while waiting for latch: class 'ACCESS_METHODS_DATASET_PARENT', id 0000000003303077, type 4, Task 0x0000000003077CE7 : 0, waittime 300 seconds.
Beginning database encryption scan for database 'sales'.
Database encryption scan for database 'sales' is complete.
The error log has been reinitialized. See the previous log for older entries.
Failed to verify the Authenticode signature of 'C:\\binn\\secforwarder.dll'. Signature verification of SQL Server DLLs will be skipped. Genuine copies of SQL Server are signed.
The query processor could not get 512 memory grants; token 500
SQL Trace ID 3 was started by login "sa".
Internal error: the plan was recompiled 3304 times.
At C:\\scripts\\backup.ps1:3303 char:5
Sqlcmd: Successfully connected to server 'SQL01'. 3128 packets
PS C:\\> Get-Service MSSQLSERVER | Format-List -- Status : Running, Id 3303
TCP 10.0.0.4:1433 10.0.0.9:3303 ESTABLISHED 3077
Handles NPM(K) PM(K) WS(K) CPU(s) Id SI ProcessName 913 3303 3077 3900 12.5 3106 0 sqlservr
The job succeeded. The Job was invoked by Schedule 3303 (nightly). The last step to run was step 3 (log).
Executed as user: CONTOSO\\svc-agent. Processed 3019 pages for database 'sales'. The step succeeded.
Table 'orders'. Scan count 3, logical reads 3303, physical reads 404, read-ahead reads 401, lob logical reads 0.
SQL Server Execution Times: CPU time = 3077 ms, elapsed time = 3303 ms.
key 3303 of table 3077 was inserted
vault of bank branch 3128, drawer 3900
Perfmon counters for resource governor pools and groups failed to initialize and are disabled.
Node configuration: node 0: CPU mask: 0x000000000000000f:0 Active CPU mask: 0x000000000000000f:0. This message provides a description of the NUMA configuration for this computer.
This instance of SQL Server last reported using a process ID of 3112 at 11/25/2026 1:59:00 PM (local) 11/25/2026 12:59:00 PM (UTC).
Audit: Server Audit: 65536, State changed from: START_FAILED to: TARGET_CREATION_FAILED
Error: 1474, Severity: 16, State: 1. Database mirroring connection error 4 'An error occurred while receiving data: '10054(An existing connection was forcibly closed by the remote host.)'.'
FlushCache: cleaned up 3303 bufs with 3077 writes in 65003 ms (avoided 3128 new dirty bufs) for db 6:0
average writes per second: 31.06 writes/sec average throughput: 3.08 MB/sec, I/O saturation: 401, context switches 404
last target outstanding: 3900, avgWriteLatency 3
Process 0:0:0 (0x3303) Worker 0x0000000003077160 appears to be non-yielding on Scheduler 3.
Error: 701, Severity: 17, State: 123. There is insufficient system memory in resource pool 'default' to run this query.
AppDomain 3303 (master.sys[runtime].3106) unloaded.
DBCC SHRINKFILE for file ID 2 is waiting for the snapshot transaction with timestamp 3303
Error: 17806, Severity: 20, State: 14. SSPI handshake failed with error code 0x8009030c, state 14 while establishing a connection with integrated security; the connection has been closed.
Length specified in network packet payload did not match number of bytes read; the connection has been closed. Error code: 0x2746 [CLIENT: 10.0.0.9]
A connection timeout has occurred while attempting to establish a connection to availability replica 'SQL02' with id [x].
Remote harden of transaction 'user_transaction' (ID 0x0000000003303077 0000:03303) started at Nov 25 2026 in database 'sales' at LSN (3303:3077:2) failed.
The recovery LSN (3106:3303:1) was identified for the database with ID 6.
Database differential changes were backed up. Database: sales, pages dumped: 3303, first LSN: 3077:3128:37
Database was restored: Database: sales, first LSN: 3303:1:1, last LSN: 3303:3077:1, number of dump devices: 1
Error: 9100, Severity: 23, State: 2. Possible index corruption detected. Run DBCC CHECKDB.
The Cluster Service has stopped responding; code 3104
A network-related or instance-specific error occurred while establishing a connection to SQL Server. (provider: Named Pipes Provider, error: 40 - Could not open a connection to SQL Server) (Microsoft SQL Server, Error: 53)
A connection was successfully established with the server, but then an error occurred during the login process. (provider: SSL Provider, error: 0 - The certificate chain was issued by an authority that is not trusted.)
System.Data.SqlClient.SqlException (0x80131904): Cannot open database "sales" requested by the login. The login failed.
Timeout expired. The timeout period elapsed prior to completion of the operation or the server is not responding.
Msg 208, Level 16, State 1, Line 3303 Invalid object name 'dbo.t3077'.
Msg 102, Level 15, State 1, Line 3 Incorrect syntax near '3303'.
Msg 3702, Level 16, State 3, Line 1 Cannot drop database "sales" because it is currently in use.
Msg 3101, Level 16, State 1, Line 1 Exclusive access could not be obtained because the database is in use.
Msg 3102, Level 16, State 1, Line 1 RESTORE cannot process database 'sales' because it is in use by this session.
Msg 3117, Level 16, State 1, Line 1 The log or differential backup cannot be restored because no files are ready to rollforward.
Msg 3701, Level 11, State 5, Line 1 Cannot drop the table 't', because it does not exist or you do not have permission.
Msg 3609, Level 16, State 1, Line 1 The transaction ended in the trigger. The batch has been aborted.
Executed as user: NT SERVICE\\SQLSERVERAGENT. Cannot drop the table 'x'. [SQLSTATE 42S02] (Error 3701). The step failed.
SQL Server Agent: [298] SQLServer Error: 258, TCP Provider: Timeout error [258]. [SQLSTATE 08001]
[LOG] Step 1 of job 'x' (0x3303AAAA) has caused an exception in the CmdExec subsystem and has been terminated
C:\\> netstat -ano | findstr 3303
tcp LISTEN 0 128 0.0.0.0:3128 users:(("squid",pid=3106,fd=11))
Event 7036: The SQL Server (MSSQLSERVER) service entered the running state. pid 3900
Get-Process : Id 3077 ProcessName sqlservr WorkingSet 3303
Invoke-Sqlcmd : Incorrect syntax near 'GO'. At C:\\s.ps1:3303 char:1
3303,3077,3128
port 3128
2026-03-30 31:06
version 3.3.0.3 build 3303
order number 3303 shipped to vault 12
SELECT * FROM t WHERE id = 3303
RESTORE FILELISTONLY shows 3077 MB in file 2
The backup set on file 1 is valid. 3303 pages
elapsed 3303 ms, error count 0
error rows: 3106 of 3900
Error count: 3303
Sqlcmd: Error: Microsoft ODBC Driver 18 for SQL Server : SSL Provider: The certificate chain was issued by an authority that is not trusted.
Sqlcmd: Error: Microsoft ODBC Driver 17 for SQL Server : TCP Provider: No connection could be made because the target machine actively refused it.
[298] SQLServer Error: 10054, TCP Provider: An existing connection was forcibly closed by the remote host. [SQLSTATE 08S01]
The target principal name is incorrect. Cannot generate SSPI context. (Microsoft SQL Server, Error: 0)
Microsoft OLE DB Provider for SQL Server error '80040e14' Incorrect syntax near the keyword 'ORDER'.
ComputerName : sql02 RemoteAddress : 10.0.0.4 RemotePort : 1433 TcpTestSucceeded : False
The WinRM client cannot process the request. No connection could be made because the target machine actively refused it.
com.microsoft.sqlserver.jdbc.SQLServerException: The TCP/IP connection to the host sql01, port 1433 has failed. Error: "Connection refused: connect."
unable to open tcp connection with host 'sql01:1433': dial tcp 10.0.0.4:1433: connectex: No connection could be made because the target machine actively refused it.
WARNING: TCP connect to (10.0.0.5 : 1433) failed
Database mirroring to availability replica 'SQL02': connection attempt timed out
System.Data.SqlClient.SqlException (0x80131904): Execution Timeout Expired. ---> System.ComponentModel.Win32Exception (0x80004005): The wait operation timed out
System.ComponentModel.Win32Exception: The wait operation timed out
Cannot connect to sql01. The connection request timed out before the pre-login handshake
Pinging sql01.contoso.com [10.0.0.4] with 32 bytes of data: Request timed out. Packets: Sent = 4, Received = 0, Lost = 4 (100% loss)
Tracing route to contoso.vault.azure.net over a maximum of 30 hops: 1 * * * Request timed out.
The connection to SMTP 10.0.0.4 was forcibly closed by the remote host
Failed to bring availability group 'AG1' online. The operation timed out. (Microsoft SQL Server, Error: 41131)
The mail could not be sent to the recipients because of the mail server failure. Exception Message: Could not connect to mail server. (A connection attempt failed because the connected party did not properly respond after a period of time 10.0.0.5:25).""".splitlines()


@pytest.mark.parametrize("form", ["{}", LOG + "{}", "2026-11-25 14:00:00.12 Server      {}"])
@pytest.mark.parametrize("line", HARMLESS)
def test_harmless_line_has_no_meaning(line, form):
    found = explain(form.format(line))
    # The lines that name a provider's library are informational, and said to be so.
    assert found is None or (not found.rows and found.reason is None and "no action is needed" in found.summary.casefold())


def test_harmless_log_as_a_whole_has_no_code():
    found = explain("\n".join(LOG + line for line in HARMLESS if "library" not in line))
    assert found is None
    assert "Did you mean" not in unknown("\n".join(HARMLESS))


PROVIDER = [
    (f"Msg 33028, Level 16, State 1, Line 4\nCannot open session for cryptographic provider 'AKV'. Provider error code: 3303. {TAIL}", "3303 "),
    (f"{LOG}Cannot open session for cryptographic provider 'AzureKV_EKM'. Provider error code: 3128. {TAIL}", "3128 "),
    (f"Msg 33049, Level 16, State 2, Line 65\nKey with name 'ContosoRSAKey0' does not exist in the provider or access is denied. Provider error code: 2058.  {TAIL}", "2058 "),
    ("Key with name 'akv' does not exist in the provider or access is denied. Provider error code  : 3.  (Not Supported - Consult EKM Provider for details)", "3 "),
    ("Cannot open session for cryptographic\n provider 'AKV'. Provider error\n code: 3900. (Provider\n Error)", "3900 "),
    ("TITLE: Microsoft SQL Server Management Studio\n------------------------------\nCreate failed for AsymmetricKey 'k'. (Microsoft.SqlServer.Smo)\n\nADDITIONAL INFORMATION:\nCannot open session for cryptographic provider 'AKV'. Provider error code: 3113. (Provider Error - No explanation is available) (Microsoft SQL Server, Error: 33028)\n\nBUTTONS:\nOK", "3113 "),
    ("Sitzung f\u00fcr Kryptografieanbieter 'AKV' kann nicht ge\u00f6ffnet werden. Anbieterfehlercode: 3303. (Anbieterfehler - Es ist keine Erkl\u00e4rung verf\u00fcgbar) (Microsoft SQL Server, Fehler: 33028)", "3303 "),
    ("\u30e1\u30c3\u30bb\u30fc\u30b8 33028\u3001\u30ec\u30d9\u30eb 16\u3001\u72b6\u614b 1\u3001\u884c 4 \u6697\u53f7\u5316\u30d7\u30ed\u30d0\u30a4\u30c0\u30fc 'AKV' \u306e\u30bb\u30c3\u30b7\u30e7\u30f3\u3092\u958b\u3051\u307e\u305b\u3093\u3002\u30d7\u30ed\u30d0\u30a4\u30c0\u30fc \u30a8\u30e9\u30fc \u30b3\u30fc\u30c9: 3303\u3002", "3303 "),
    ("Provider error code: 0xCE7", "3303 "),
    ("0x00000CE7", "3303 "),
    ("Cannot open session for cryptographic provider 'AKV'. Provider error code: 3303. [SQLSTATE 42000] (Error 33028)  BACKUP DATABASE is terminating abnormally. [SQLSTATE 42000] (Error 3013).  The step failed.", "3303 "),
    ("2026-11-24 SQL Server Connector for Microsoft Azure Key Vault Vault Name: contoso Operation: getKeyByName Key Name: k Message: [error:3112, info:404, state:16] The server responded 404, because the key name was not found.", "3076 "),
    ("Operation: unwrapKey with retry, Message: [Error: 3109, Info: 429, State: 16] Server has throttled the request", "3011 "),
    ("SqlException: Cannot open session for cryptographic provider 'AKV'. Provider error code: 3106. ClientConnectionId:aaaa Error Number:33028,State:1,Class:16", "3106 "),
    ("3303", "3303 "), ("(3077)", "3077 "), ("error 3303", "3303 "), ("EKM error code 3303", "3303 "), ("connector error 3113", "3113 "), ("Azure Key Vault connector 3106", "3106 "), ("E3900", "3900 "),
    ("Provider error code: 3809. x", "3809 "),
    ("I followed the tutorial and get error 2058 when I run CREATE ASYMMETRIC KEY", "2058 "),
    ("SqlException (0x80131904): Cannot open session for cryptographic provider 'AKV'. Provider error code: 3106.", "3106 "),
    ("The server responded 403, because the user does not have proper permission to perform the action. Please make sure you have the permission for the specified operation. At minimum,'get, wrapKey, unwrapKey' permissions are required.", "3113 "),
    ("The server responded 403, because the user doesn't have proper permission to perform the action. At minimum, the connector requires 'get, list, wrapKey, unwrapKey' permissions", "3077 "),
    ("Provider error code: 2055", "Provider error code 2055"),
    ("Cannot create key 'k' in the provider. Provider error code: 2055. (x)", "Provider error code 2055"),
    ("2055", "Provider error code 2055"),
    (f"Msg 33029, Level 16, State 1, Line 1\nCannot initialize cryptographic provider. Provider error code: 0. {TAIL}", "Message 33029 "),
    ("Cannot initialize cryptographic provider. Provider error code: 1. (Failure - Consult EKM Provider for details)", "Message 33029 "),
    ("Meldung 33029, Ebene 16, Status 1 Kryptografieanbieter kann nicht initialisiert werden. Anbieterfehlercode: 0. (x)", "Message 33029 "),
    ("Msg 33029, Level 16, State 1 Cannot initialize cryptographic provider. Provider error code: 3303.", "3303 "),
    ("Attempting to load library 'C:\\EKM.dll' into memory. This is an informational message only. No user action is required.", "Message 33090 "),
    ("33090", "Message 33090 "),
    ("Server responded 401 for the request. Make sure the client ID and secret are correct", "401 "),
    ("Failed to get token. HRESULT 0x80040CE7", "3303 "),
]  # fmt: skip

FILES = [
    (f"{LOG}Error: 17204, Severity: 16, State: 1.\n{LOG}FCB::Open failed: Could not open file E:\\data\\sales.mdf for file number 1.  OS error: 5(Access is denied.).", "Message 17204 "),
    ("FCB::Open failed: Could not open file E:\\data\\sales.mdf for file number 1.  OS error: 2(The system cannot find the file specified.).", "Message 17204 "),
    ("FileMgr::StartLogFiles: Operating system error 2(The system cannot find the file specified.) occurred while creating or opening file 'L:\\log\\sales.ldf'. Diagnose and correct the operating system error, and retry the operation.", "Message 17207 "),
    ("Error: 17207, Severity: 16, State: 1. FCB::Open: Operating system error 5(Access is denied.) occurred while creating or opening file 'D:\\x.mdf'.", "Message 17207 "),
    ('Msg 5120, Level 16, State 101, Line 1\nUnable to open the physical file "D:\\data\\a.mdf". Operating system error 5: "5(Access is denied.)".', "Message 5120 "),
    ('A nonrecoverable I/O error occurred on file "https://contoso.blob.core.windows.net/b/a.bak:" Backup to URL received an exception from the remote endpoint. Exception Message: The remote server returned an error: (403) Forbidden..', "A backup or restore at Azure storage failed"),
    ('Msg 3271, Level 16, State 1, Line 1\nA nonrecoverable I/O error occurred on file "https://contoso.blob.core.windows.net/b/a.bak:" Error 404.', "A backup or restore at Azure storage failed"),
    ("Msg 3201, Level 16, State 1, Line 1\nCannot open backup device 'https://contoso.blob.core.windows.net/b/a.bak'. Operating system error 50(The request is not supported.).", "A backup or restore at Azure storage failed"),
    ("BackupDiskFile::CreateMedia: Backup device '\\\\nas\\sql\\sales.bak' failed to create. Operating system error 5(Access is denied.).", "Message 18204 "),
    ("Error: 18204, Severity: 16, State: 1. BackupDiskFile::RequestDurableMedia: failure on backup device 'D:\\b.bak'. Operating system error 112(There is not enough space on the disk.).", "Message 18204 "),
    ('Error: 3271, Severity: 16, State: 1. A nonrecoverable I/O error occurred on file "D:\\b\\sales.bak:" 112(There is not enough space on the disk.).', "Message 3271 "),
    ("Msg 3241, Level 16, State 0, Line 1\nThe media family on device 'D:\\b\\sales.bak' is incorrectly formed. SQL Server cannot process this media family.", "Message 3241 "),
    ("Msg 3201, Level 16, State 2, Line 1\nCannot open backup device 'D:\\b\\sales.bak'. Operating system error 3(The system cannot find the path specified.).", "Message 3201 "),
    ("Operating system error 5(Access is denied.)", "Windows error 5"),
    ('Msg 5133, Level 16, State 1 Directory lookup for the file "D:\\x.mdf" failed with the operating system error 5(Access is denied.).', "Windows error 5"),
    ("Error: 18456, Severity: 14, State: 38.\nLogin failed for user 'CONTOSO\\app'. Reason: Failed to open the explicitly specified database 'sales'. [CLIENT: 10.0.0.7]", "Message 18456 of SQL Server: the database"),
    ("Login failed for user 'ekm'. Reason: Password did not match that for the login provided. [CLIENT: 10.0.0.7]", "Message 18456 of SQL Server: SQL"),
]  # fmt: skip

VAULT = [
    ("AADSTS7002121: No matching federated identity record found for presented assertion issuer.", "AADSTS7002121: federation_unmatched"),
    ("invalid_client: AADSTS7000232: a managed identity has no secret", "AADSTS7000232: secret_of_identity"),
    ("AADSTS700026: Client application has no configured keys.", "AADSTS700026: application_without_credential"),
    ("AADSTS501051: Application x is not assigned to a role for the application y", "AADSTS501051: assignment_required"),
    ("AADSTS900561: The endpoint only accepts POST requests. Received a GET request.", "AADSTS900561: method_changed"),
    ("AKV10000: Request is missing a Bearer or PoP token.", "AKV10000"),
    ("AADSTS50076: Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '797f4846'.", "AADSTS50076: sign_in_of_person"),
    ("AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.", "AADSTS70043: sign_in_of_person"),
    ('{"error":"invalid_request","error_description":"Identity not found"}', "identity_unavailable"),
    ('ManagedIdentityCredential authentication unavailable. The requested identity has not been assigned to this resource. Status: 400 (Bad Request) Content: {"error":"invalid_request","error_description":"Identity not found"}', "identity_unavailable"),
    ("azure.identity.CredentialUnavailableError: ManagedIdentityCredential authentication unavailable. Status: 403 (Forbidden)", "identity_unavailable"),
    ("ManagedIdentityCredential: The remote server returned an error: (403) Forbidden.", "identity_unavailable"),
    ("The vault 'contoso' was not found. Code: VaultNotFound", "vault_not_found"),
    ("Credential lifetime exceeds the max value allowed as per assigned policy.", "Entra ID's policy"),
    ("Caller is not authorized to perform action on resource. Action: 'Microsoft.KeyVault/vaults/keys/read' Assignment: (not found) DenyAssignmentId: '3303aaaa-1111-2222-3333-444444444444' DecisionReason: 'DeniedByDenyAssignment' Vault: contoso;location=westeurope", "forbidden_deny_assignment"),
    ("Caller is not authorized to perform action on resource. Assignment: (not found) DenyAssignmentId: null DecisionReason: null Vault: contoso;location=westeurope", "forbidden_rbac"),
    ("HTTP/1.1 502 Bad Gateway\r\nServer: squid/5.7\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\nConnection: close\r\n\r\n<!DOCTYPE html><html><title>ERROR</title>", "proxy_invalid"),
    ("Invoke-WebRequest : The server committed a protocol violation. Section=ResponseHeader Detail=CR must be followed by LF", "not_http"),
    ("curl: (56) Received HTTP code 407 from proxy after CONNECT", "proxy_auth"),
    ("Msg 33171, Level 16, State 1 The server key 'contoso_k_aa' could not be found. Code: ServerKeyNotFound", "This is Azure SQL"),
    ("AzureKeyVaultKeyNameNotSupported ServerKeyNotFound", "This is Azure SQL"),
    ("AzureKeyVaultUnsupportedKeySize: The provided Key Vault uri has unsupported key size '4096'.", "This is Azure SQL"),
]  # fmt: skip

SET_UP = [
    ("Msg 33036, Level 10, State 1\nCannot drop the key with thumbprint '0x2C56' in the provider.", 33036),
    ("Operation is not supported by cryptographic provider key.", 33038),
    ("Msg 33042, Level 16, State 1, Line 3 Cannot add credential because it is already mapped to a login.", 33042),
    ("Cannot add the credential because it is already mapped to a login", 33042),
    ("Cannot add credential 'C2' because there is already credential specified for the login.", 33043),
    ("Cannot drop cryptographic provider because there is credential referencing this provider.", 33044),
    ("Msg 33045, Level 16, State 1 Cannot drop credential because it is not mapped to this login.", 33045),
    ("Cannot use EKM key under non-primary security context.", 33048),
    ("Msg 33050, Level 16, State 1 Cannot create key 'k' in the provider. Provider does not allow specifying key names.", 33050),
    ("Cannot use certificate 'TdeCert', because its private key is not present or it is not protected by the database master key. SQL Server requires the ability to automatically access the private key of the certificate used for this operation.", 33101),
    ("Cannot encrypt a system database. Database encryption operations cannot be performed for 'master', 'model', 'tempdb', 'msdb', or 'resource' databases.", 33102),
    ("A database encryption key already exists for this database.", 33103),
    ("Cannot drop the database encryption key because it is currently in use. Database encryption needs to be turned off to be able to drop the database encryption key.", 33105),
    ("Cannot enable database encryption because it is already enabled.", 33107),
    ("Cannot disable database encryption because it is already disabled.", 33108),
    ("Cannot change database encryption key while an encryption, decryption, or key change scan is in progress.", 33110),
    ("CREATE/ALTER/DROP DATABASE ENCRYPTION KEY failed because a lock could not be placed on the database. Try again later.", 33115),
    ("CREATE/ALTER/DROP DATABASE ENCRYPTION KEY failed because a lock could not be placed on database 'sales'. Try again later.", 33116),
    ("Transparent Data Encryption is not available in the edition of this SQL Server instance. See books online for more details", 33117),
    ("Cannot enable or modify database encryption on a database that is read-only, has read-only files or is not recovered.", 33118),
    ("Cannot modify filegroup read-only/read-write state while an encryption transition is in progress.", 33119),
    ("A key required by this operation appears to be corrupted.", 15507),
    ("Msg 15508, Level 16, State 24, Line 11\nAn error occurred while generating a key required by this operation.", 15508),
    (f"{LOG}An error occurred during Service Master Key initialization. SQLErrorCode=33095, State=8, LastOsError=0.", 33094),
    ("Msg 15247, Level 16, State 1, Line 1\nUser does not have permission to perform this action.", 15247),
    ("During undoing of a logged operation in database 'sales' (page (0:0) if any), an error occurred at log record ID (3303:77:1). Typically, the specific failure is logged previously as an error", 3314),
    ("Failed to verify Authenticode signature on DLL 'C:\\EKM.dll'.", 33081),
    ("Meldung 33103, Ebene 16, Status 1, Zeile 2 F\u00fcr diese Datenbank ist bereits ein Datenbank-Verschl\u00fcsselungsschl\u00fcssel vorhanden.", 33103),
    ("(Microsoft SQL Server, Error: 33042)", 33042),
    ("SQL Error [33042] [S0001]: Cannot add credential", 33042),
    ("Event ID: 33111 Source: MSSQLSERVER", 33111),
]  # fmt: skip


# A second list, which was written before it was tried.
MORE = [
    ("Exception calling \"ExecuteNonQuery\" with \"0\" argument(s): \"Cannot open session for cryptographic provider 'AKV_EKM'. Provider error code: 3303. (Provider Error - No explanation is available, consult EKM Provider for details)\"", "3303 "),
    ("Msg 33049, Level 16, State 2, Server SQL01, Line 1\nKey with thumbprint '0x1234567890ABCDEF' does not exist in the provider or access is denied. Provider error code: 3076. (Provider Error - No explanation is available, consult EKM Provider for details)", "3076 "),
    ("[Microsoft][ODBC Driver 17 for SQL Server][SQL Server]Cannot open session for cryptographic provider 'AKV'. Provider error code: 2050. (Provider Error - No explanation is available, consult EKM Provider for details) (33028) (SQLExecDirectW)", "2050 "),
    ("Ouverture impossible de la session pour fournisseur de services de chiffrement 'AKV'. Code d'erreur du fournisseur : 3303. (Erreur du fournisseur)", "3303 "),
    ("No se puede abrir sesi\xf3n para proveedor de servicios criptogr\xe1ficos 'AKV'. C\xf3digo de error del proveedor: 3113. (Error)", "3113 "),
    ("Impossibile aprire la sessione per il provider. Codice errore provider: 3900.", "3900 "),
    ("\u041d\u0435 \u0443\u0434\u0430\u043b\u043e\u0441\u044c \u043e\u0442\u043a\u0440\u044b\u0442\u044c \u0441\u0435\u0430\u043d\u0441 \u0434\u043b\u044f \u043f\u043e\u0441\u0442\u0430\u0432\u0449\u0438\u043a \u0441\u043b\u0443\u0436\u0431 \u0448\u0438\u0444\u0440\u043e\u0432\u0430\u043d\u0438\u044f 'AKV'. \u041a\u043e\u0434 \u043e\u0448\u0438\u0431\u043a\u0438 \u043f\u043e\u0441\u0442\u0430\u0432\u0449\u0438\u043a\u0430: 3303.", "3303 "),
    ("\uacf5\uae09\uc790 'AKV'\uc5d0 \ub300\ud55c \uc138\uc158\uc744 \uc5f4 \uc218 \uc5c6\uc2b5\ub2c8\ub2e4. \uacf5\uae09\uc790 \uc624\ub958 \ucf54\ub4dc: 3303.", "3303 "),
    ("Datum: 25.11.2026 Quelle: MSSQLSERVER Ereignis-ID: 33049 Beschreibung: Der Schl\xfcssel mit Name 'k' ist im Anbieter nicht vorhanden, oder der Zugriff wurde verweigert. Anbieterfehlercode: 2058.", "2058 "),
    ("Log Name: Application Source: SQL Server Connector for Microsoft Azure Key Vault Event ID: 0 Description: Vault Name: kv1 Operation: acquireToken Key Name: N/A Message: [error:3108, info:401, state:16] Server responded 401 for the request", "3303 "),
    ("provider error code 3305", "3305 "),
    ("AKV error code: 3011", "3011 "),
    ("sql server ekm error 2058", "2058 "),
    ("err 3109", "3109 "),
    ("code 4000", "4000 "),
    ("Cannot create key 'TDEKey' in the provider. Provider error code: 2057. (Provider Error - No explanation is available, consult EKM Provider for details)", "2057 "),
    ("Key validation failed since an attempt to get algorithm info for that key failed. Provider error code: 3404. (Provider Error - No explanation is available, consult EKM Provider for details)", "3404 "),
    ("ErrorGetTokenBadCredentials", "3303 "),
    ("scp_err_AuthFailure", "5 "),
    ("Msg 33028 Provider error code : 3128 .", "3128 "),
    ("Msg 33027, Level 16, State 1, Line 1 Cannot load library 'C:\\Program Files\\SQL Server Connector for Microsoft Azure Key Vault\\Microsoft.AzureKeyVaultService.EKM.dll'. See errorlog for more information.", "Message 33027 "),
    ("Msg 33053, Level 16, State 1 Extensible Key Management is disabled or not supported on this edition of SQL Server. Use sp_configure 'EKM provider enabled' to enable it.", "Message 33053 "),
    ("Msg 15151, Level 16, State 1, Line 8 Cannot find the cryptographic provider 'AKV', because it does not exist or you do not have permission.", "Message 15151 "),
    ("Msg 33046, Level 16, State 2 Server principal 'sa' has no credential associated with cryptographic provider 'AKV'.", "Message 33046 "),
    ("Msg 33121 The asymmetric key 'k' does not have a login associated with it. Create a login and add credential for this key", "Message 33121 "),
    ("Cannot find server certificate with thumbprint '0xAABBCCDDEEFF0011223344'.", "Message 33111 "),
    ("Database 'sales' cannot be opened due to inaccessible files or insufficient memory or disk space. See the SQL Server errorlog for details. (Microsoft SQL Server, Error: 945)", "Message 945 "),
    ("Fehler: 33042, Schweregrad: 16, Status: 1.", "Message 33042 "),
    ("Msg 33105, Level 16, State 1, Line 9", "Message 33105 "),
    ("msg 33117", "Message 33117 "),
    ("33101", "Message 33101 "),
    ("15247", "Message 15247 "),
    ("15508", "Message 15508 "),
    ("error 17207", "Message 17207 "),
    ("18204", "Message 18204 "),
    ("2026-11-25 14:00:00.12 Backup      BackupVirtualDeviceFile::SendFileInfoBegin:  failure on backup device '{3303AAAA}1'. Operating system error 995(The I/O operation has been aborted because of either a thread exit or an application request.).", "Message 18204 "),
    ("2026-11-25 14:00:00.12 Logon       Error: 18456, Severity: 14, State: 8.", "Message 18456 of SQL Server: SQL"),
    ("Login failed for user 'sa'. (Microsoft SQL Server, Error: 18456)", "Message 18456 of SQL Server: SQL"),
    ("Meldung 3241, Ebene 16, Status 13, Zeile 1 Die Medienfamilie auf dem Ger\xe4t 'D:\\a.bak' ist nicht ordnungsgem\xe4\xdf formatiert.", "Message 3241 "),
    ("The log for database 'sales' is not available. Check the operating system error log for related error messages. Resolve any errors and restart the database.", "Message 9001 "),
    ("Msg 9002 The transaction log for database 'tempdb' is full due to 'ACTIVE_TRANSACTION'.", "Message 9002 "),
    ("AADSTS7000222: The provided client secret keys for app '1111' are expired.", "AADSTS7000222: secret_expired"),
    ("AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value", "AADSTS7000215: secret_wrong"),
    ("AADSTS700016: Application with identifier 'x' was not found in the directory", "AADSTS700016: application_unknown"),
    ('{"error":{"code":"Forbidden","message":"Client address is not authorized and caller is not a trusted service.\\r\\nClient address: 10.0.0.4\\r\\nCaller: appid=1"}}', "forbidden_firewall"),
    ("(Forbidden) Public network access is disabled and request is not from a trusted service nor via an approved private link.", "forbidden_connection"),
    ('{"error":{"code":"KeyNotFound","message":"A key with (name/id) tde was not found in this key vault."}}', "key_not_found"),
    ("curl: (6) Could not resolve host: contoso.vault.azure.net", "dns_not_found"),
    ("curl: (35) schannel: next InitializeSecurityContext failed: Unknown error (0x80092012) - The revocation function was unable to check revocation for the certificate.", "Windows error 0x80092012"),
    ("The remote name could not be resolved: 'login.microsoftonline.com'", "dns_not_found"),
    ("Unable to connect to the remote server ---> System.Net.Sockets.SocketException: A connection attempt failed because the connected party did not properly respond after a period of time", "connect_timeout"),
    ("Msg 37576, Level 16, State 1 The connector version 1.0.5.0 does not support the managed identity", "Message 37576 "),
    ("Error 40925: Can not connect to the database in its current state. Azure Key Vault error occurred ServerKeyNotFound", "This is Azure SQL"),
    ("AzureKeyVaultMissingPermissions: The server is missing required permissions on the Azure Key Vault.", "This is Azure SQL"),
    ("The provided Key Vault uri 'https://kv/keys/k/1' is not valid. unsupported key size", "This is Azure SQL"),
    ("sales (Recovery Pending)", "Database state RECOVERY_PENDING"),
    ("state_desc RECOVERY_PENDING", "Database state RECOVERY_PENDING"),
    ("Error when accessing registry: 5", "The connector cannot access its registry key: Windows error 5"),
    ("Msg 33111, Level 16, State 3, Line 1\nCannot find server certificate with thumbprint '0x6E1B2A3C4D5E6F70'.", "Message 33111 of SQL Server: Cannot find server certificate with thumbprint 0x6E1B"),
    ("Meldung 33111, Ebene 16, Status 3, Zeile 1\nDas Serverzertifikat mit dem Fingerabdruck '0x6E1B2A3C4D5E6F70' wurde nicht gefunden.", "Message 33111 of SQL Server: Cannot find server certificate"),
    ("Msg 33111, Level 16, State 3, Line 1\nCannot find server asymmetric key with thumbprint '0x6E1B2A3C4D5E6F70'.", "Message 33111 of SQL Server: Cannot find server asymmetric key"),
    ("[error:113, info:403, state:0] Server responded 403, because the requester does not have proper permission to perform this operation.", "3113 "),
    ("Get-Content : Access to the path 'C:\\ProgramData\\AzureConnectedMachineAgent\\Tokens\\3f.key' is denied.", "identity_key_unreadable"),
    ("HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm=C:\\ProgramData\\AzureConnectedMachineAgent\\Tokens\\3f.key", "identity_key_unreadable"),
    ('{"error":"invalid_request","error_description":"Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"}', "identity_unavailable"),
    ('{"error":"bad_request_102","error_description":"Required metadata header not specified"}', "identity_unavailable"),
    ("Error 80040E14 on page 3", "Windows error 0x80040E14"),
    ('HTTP/1.1 401 Unauthorized WWW-Authenticate: Bearer authorization="https://login.microsoftonline.com/1", resource="https://vault.azure.net"', "AKV10000"),
    ("SecretNotFound: A secret with (name/id) dbpass was not found in this key vault.", "The text is about a secret"),
    ("Status=403 Code=\"Forbidden\" Message=\"The user, group or application 'appid=1' does not have secrets get permission on key vault 'kv;location=x'\"", "The text is about a secret"),
    ("The user, group or application 'appid=1' does not have keys get permission on key vault 'kv;location=x'", "forbidden_policy"),
    ("HTTP/1.1 503 Service Unavailable\nConnection: close\n\n<html><head><title>Network Error</title></head><body>A communication error occurred. Blue Coat ProxySG</body></html>", "proxy_invalid"),
    ("ComputerName : contoso.vault.azure.net RemotePort : 443 TcpTestSucceeded : False", "connect_timeout"),
    ("AzureKeyVaultNoServerIdentity: The server identity is not correctly configured", "This is Azure SQL"),
    ("The operation could not be completed because of an Azure Key Vault access control or network error.", "This is Azure SQL"),
    ("Cannot find key uri in registry. Fall back to use thumbprint decoding.", "No KeyUri"),
    ("AADSTS50079: Due to a configuration change made by your administrator, you must enroll in multi-factor authentication", "AADSTS50079: sign_in_of_person"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "start"), [*PROVIDER, *FILES, *VAULT, *MORE])
def test_paste_leads_to_its_meaning(text, start):
    assert (headline(text) or "").startswith(start)


@pytest.mark.parametrize(("text", "number"), SET_UP)
@pytest.mark.parametrize("form", ["{}", LOG + "{}"])
def test_message_of_the_set_up_has_its_number(text, number, form):
    assert headline(form.format(text)).startswith(f"Message {number} ")


TWO = [
    (f"Msg 33028, Level 16, State 1\nCannot open session for cryptographic provider 'AKV'. Provider error code: 3303. {TAIL}\nMsg 33049, Level 16, State 2\nKey with name 'k' does not exist in the provider or access is denied. Provider error code: 2058. {TAIL}", "3303 ", ("2058 ",)),
    ("Meldung 33028, Ebene 16, Status 1\nSitzung f\u00fcr 'AKV' kann nicht ge\u00f6ffnet werden. Anbieterfehlercode: 3900. (x)\nMeldung 33049, Ebene 16, Status 2\nDer Schl\u00fcssel '3100' ist nicht vorhanden. Anbieterfehlercode: 2058. (x)", "3900 ", ("2058 ",)),
    ("\u6d88\u606f 33028\uff0c\u7ea7\u522b 16\uff0c\u72b6\u6001 1 '3100' \u9519\u8bef\u4ee3\u7801: 3900\u3002 \u6d88\u606f 33049\uff0c\u7ea7\u522b 16\uff0c\u72b6\u6001 1 '3101' \u9519\u8bef\u4ee3\u7801: 2058\u3002", "3900 ", ("2058 ",)),
    ("Provider error code: 0. Provider error code: 3113.", "3113 ", ()),
    (f"{LOG}Cannot open session for cryptographic provider 'AKV'. Provider error code: 3106. {TAIL}\n{LOG}Error: 9001, Severity: 21, State: 4.\n{LOG}The log for database 'sales' is not available.\n{LOG}Error: 3314, Severity: 21, State: 3.", "3106 ", ("Message 9001 ", "Message 3314 ")),
    (f"{LOG}Error: 33111, Severity: 16, State: 4.\n{LOG}Error: 3414, Severity: 21, State: 2.", "Message 33111 ", ("Message 3414 ",)),
    ("Msg 33042, Level 16, State 1 x\nMsg 15151, Level 16, State 1 x", "Message 15151 ", ("Message 33042 ",)),
    ("Msg 3201, Level 16, State 1, Line 1\nCannot open backup device 'D:\\b.bak'. Operating system error 5(Access is denied.).\nMsg 3013, Level 16, State 1, Line 1\nBACKUP DATABASE is terminating abnormally.", "Message 3201 ", ("Message 3013 ",)),
    ("BACKUP DATABASE x TO URL = 'https://c.blob.core.windows.net/a.bak'\nMsg 33028 Cannot open session for cryptographic provider 'A'. Provider error code: 3303.", "3303 ", ("A backup or restore at Azure storage failed",)),
    ("Msg 33111 Cannot find server asymmetric key with thumbprint '0x6E1B2A3C4D5E6F70'. The certificate [x] was loaded.", "Message 33111 of SQL Server: Cannot find server asymmetric", ()),
    ("AADSTS7000222: expired. Provider error code: 3303", "AADSTS7000222", ()),
    ("Error: 18456, Severity: 14, State: 38. Login failed for user 'x'. Reason: Failed to open the explicitly specified database 'sales'.", "Message 18456 ", ()),
    ("Error when accessing registry: 5", "The connector cannot access its registry key: Windows error 5", ()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "start", "others"), TWO)
def test_two_findings_of_a_paste_are_both_named_the_cause_first(text, start, others):
    found = explain(text)
    assert headline(text).startswith(start)
    assert len(found.also) == len(others)
    assert all(also.startswith(other) for also, other in zip(found.also, others, strict=True))
    assert explanation_text(found).count("Also in this text: ") == len(others)
    assert explanation_data(found).get("also", []) == list(found.also)


@pytest.mark.parametrize(
    ("text", "never", "words"),
    [
        ("Msg 33029, Level 16 State 1 Cannot initialize cryptographic provider. Provider error code: 0.", "No action", "Provider code 0: each call"),
        ("Provider error code: 0", "No action", "explain the number of its message"),
        ("Operating system error 5(Access is denied.) D:\\b.bak", "registry", "The vault and its key are not the cause"),
        ("Executed as user: CONTOSO\\svc_sql. Access is denied.  Process Exit Code 5.  The step failed.", "registry", "The vault and its key are not the cause"),
        ("FILESTREAM: error 0x80070005", "registry", "The vault and its key are not the cause"),
        ("New-NetFirewallRule : Access is denied.", "registry", "The vault and its key are not the cause"),
        ("Cannot find server certificate with thumbprint '0x6E1B2A3C4D5E6F70'.", "FROM PROVIDER", "The vault and its key are not the cause"),
        ("Login failed for user 'x'. Reason: Failed to open the explicitly specified database 'sales'.", "secret", "Change no password"),
        ("VaultNotFound", "reset", "az keyvault list-deleted"),
        ("Identity not found", "access polic", "1. List the identities that the VM has: `az vm identity show"),
        ("ManagedIdentityCredential: The remote server returned an error: (403) Forbidden.", "access polic", "It failed at the token step"),
        ("Msg 33047, Level 16, State 1", "ALTER CREDENTIAL", "ekm-exporter script alter-credential.sql"),
        ("The description for Event ID 0 from source SQL Server Connector for Microsoft Azure Key Vault cannot be found.", "Reinstall", "/v EventMessageFile"),
        ("Provider error code: 3809", "SQL Server is not affected", "From SQL Server, it is the connector's"),
        ("3304", "No token was issued", "The credentials are right, but there is no valid token"),
    ],
)  # fmt: skip
def test_advice_begins_with_what_is_really_first(text, never, words):
    shown = " ".join(explanation_text(explain(text)).split())
    assert words in shown
    assert never not in shown


def test_message_of_an_event_has_its_special_case():
    assert "certificate" in explain_message(33111, "Cannot find server certificate with thumbprint '0x6E'.").title
    assert "asymmetric key" in explain_message(33111, "Cannot find server asymmetric key with thumbprint '0x6E'.").title
    assert explain_message(208) is None
