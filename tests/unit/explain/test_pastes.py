"""What people paste, each with what it must lead to: the start of the title, or a code. A wrong answer is worse than none."""

import pytest

from exporter.explain.explanation import explanation_data, explanation_text
from exporter.explain.search import explain, unknown
from exporter.knowledge.codes import both_numbers

TAIL = "(Provider Error - No explanation is available, consult EKM Provider for details)"
LOG = "2026-11-25 14:00:00.12 spid51      "


def headline(text):
    found = explain(text)
    return None if found is None else found.title or f"{both_numbers(found.rows[0].code)} {found.rows[0].symbol}"


# Lines of SQL Server's error log, of its tools and of PowerShell, about anything else than a key.
HARMLESS = """\
Microsoft SQL Server 2022 (RTM-CU17) (KB5048038) - 16.0.4175.1 (X64) Dec 13 2024 01:01:53 Copyright (C) 2022 Microsoft Corporation
Enterprise Edition: Core-based Licensing (64-bit) on Windows Server 2022 Datacenter 10.0 <X64> (Build 20348: ) (Hypervisor)
Microsoft SQL Server 2017 (RTM-CU13) - 14.0.3076.1 (X64) Developer Edition (64-bit) on Linux (Ubuntu 16.04.6 LTS)
UTC adjustment: 1:00
Server process ID is 3077.
Server process ID is 3303.
Process ID 3900 was killed by hostname SQL01, host process ID 3128.
System Manufacturer: 'VMware, Inc.', System Model: 'VMware7,1'.
Authentication mode is MIXED.
Logging SQL Server messages in file 'C:\\Program Files\\Microsoft SQL Server\\MSSQL16.MSSQLSERVER\\MSSQL\\Log\\ERRORLOG'.
The service account is 'CONTOSO\\svc-sql'. This is an informational message; no user action is required.
Registry startup parameters: -d C:\\SQL\\master.mdf -e C:\\SQL\\ERRORLOG -l C:\\SQL\\mastlog.ldf -T 3226 -T 1222 -T 3605
DBCC TRACEON 3604, server process ID (SPID) 61. This is an informational message only; no user action is required.
DBCC TRACEON 3205, server process ID (SPID) 3105. This is an informational message only; no user action is required.
SQL Server detected 2 sockets with 8 cores per socket and 16 logical processors per socket, 32 total logical processors; using 32 logical processors based on SQL Server licensing.
SQL Server is using 2 sockets and 3008 MB of memory.
Detected 3112 MB of RAM. This is an informational message; no user action is required.
Using conventional memory in the memory manager.
Node configuration: node 0: CPU mask: 0x00000000000000ff:0 Active CPU mask: 0x00000000000000ff:0.
I/O affinity turned on, processor mask 0x80000005. Disk I/Os will execute on CPUs per affinity I/O mask/affinity64 mask config option.
Using dynamic lock allocation. Initial allocation of 2500 Lock blocks and 5000 Lock Owner blocks per node.
Lock partitioning is enabled. This is an informational message only. No user action is required.
In-Memory OLTP initialized on highend machine.
Database Instant File Initialization: enabled. For security and performance considerations see the topic 'Database Instant File Initialization'.
Query Store settings initialized with enabled = 1,
Starting up database 'master'.
Starting up database 'sales3303'.
Recovery of database 'sales' (6) is 3% complete (approximately 3301 seconds remain). Phase 1 of 3. This is an informational message only.
Recovery completed for database sales (database ID 6) in 3 second(s) (analysis 3113 ms, redo 0 ms, undo 3128 ms.) This is an informational message only.
1 transactions rolled back in database 'sales' (6:0). This is an informational message only. No user action is required.
3106 transactions rolled forward in database 'sales' (6:0). This is an informational message only. No user action is required.
Recovery is writing a checkpoint in database 'sales' (6). This is an informational message only. No user action is required.
Recovery is complete. This is an informational message only. No user action is required.
The resource database build version is 16.00.4175. This is an informational message only. No user action is required.
Clearing tempdb database.
The tempdb database has 8 data file(s).
Server name is 'SQLPRD01'. This is an informational message only. No user action is required.
A self-generated certificate was successfully loaded for encryption.
The certificate [Cert Hash(sha1) "2C5677D76F76D77F802C5677D76F76D77F802C56"] was successfully loaded for encryption.
Server is listening on [ 'any' <ipv4> 1433 accept sockets 1].
Server is listening on [ 10.0.0.4 <ipv4> 3008 accept sockets 1].
Server local connection provider is ready to accept connection on [ \\\\.\\pipe\\SQLLocal\\MSSQLSERVER ].
Dedicated admin connection support was established for listening locally on port 3110.
SQL Server is now ready for client connections. This is an informational message; no user action is required.
SQL Server is attempting to register a Service Principal Name (SPN) for the SQL Server service.
The SQL Server Network Interface library could not register the Service Principal Name (SPN) [ MSSQLSvc/sql01.contoso.com:1433 ] for the SQL Server service. Windows return code: 0x2098, state: 15.
The SQL Server Network Interface library successfully registered the Service Principal Name (SPN) [ MSSQLSvc/sql01.contoso.com:3101 ] for the SQL Server service.
The Service Broker endpoint is in disabled or stopped state.
Service Broker manager has started.
The Database Mirroring endpoint is now listening for connections.
Server is listening on [ 'any' <ipv6> 5022 accept sockets 1].
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
(1 row affected)
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
Configuration option 'show advanced options' changed from 0 to 1. Run the RECONFIGURE statement to install.
Error: 17828, Severity: 20, State: 3.
Error: 18210, Severity: 16, State: 1.
Error: 1205, Severity: 13, State: 51.
Always On Availability Groups connection with secondary database established for primary database 'sales' on the availability replica 'SQL02' with Replica ID: {3303aaaa-3077-3128-3900-310631123113}.
A connection timeout has occurred on a previously established connection to availability replica 'SQL02' with id [3303AAAA-3077-3128-3900-310631123113].
The state of the local availability replica in availability group 'AG1' has changed from 'RESOLVING_NORMAL' to 'PRIMARY_NORMAL'.
Attempting to load library 'C:\\Program Files\\SQL Server Connector for Microsoft Azure Key Vault\\Microsoft.AzureKeyVaultService.EKM.dll' into memory. This is an informational message only. No user action is required.
Cryptographic provider library 'C:\\Program Files\\SQL Server Connector for Microsoft Azure Key Vault\\Microsoft.AzureKeyVaultService.EKM.dll' loaded into memory. This is an informational message only. No user action is required.
Using 'xpstar.dll' version '2022.160.4175' to execute extended stored procedure 'xp_instance_regread'. This is an informational message only; no user action is required.
Using 'dbghelp.dll' version '4.0.5'
***Stack Dump being sent to C:\\SQL\\Log\\SQLDump0003.txt
The client was unable to reuse a session with SPID 3106, which had been reset for connection pooling. The failure ID is 29.
Timeout occurred while waiting for latch: class 'ACCESS_METHODS_DATASET_PARENT', id 0000000003303077, type 4, Task 0x0000000003077CE7 : 0, waittime 300 seconds.
Beginning database encryption scan for database 'sales'.
Database encryption scan for database 'sales' is complete.
Software Usage Metrics is enabled.
The error log has been reinitialized. See the previous log for older entries.
Failed to verify the Authenticode signature of 'C:\\binn\\secforwarder.dll'. Signature verification of SQL Server DLLs will be skipped. Genuine copies of SQL Server are signed.
Unable to get thread context for spid 0
The query processor could not get 512 memory grants; token 500
SQL Trace ID 3 was started by login "sa".
Internal error: the plan was recompiled 3304 times.
At line:1 char:1 + Invoke-Sqlcmd -Query 'select 1' + ~~~~~~~~ + CategoryInfo : NotSpecified
At C:\\scripts\\backup.ps1:3303 char:5
1> select @@version
Sqlcmd: Successfully connected to server 'SQL01'. 3128 packets
PS C:\\> Get-Service MSSQLSERVER | Format-List -- Status : Running, Id 3303
TCP 10.0.0.4:1433 10.0.0.9:3303 ESTABLISHED 3077
Reply from 10.0.0.4: bytes=32 time=3ms TTL=128
Handles NPM(K) PM(K) WS(K) CPU(s) Id SI ProcessName 913 3303 3077 3900 12.5 3106 0 sqlservr
The job succeeded. The Job was invoked by Schedule 3303 (nightly). The last step to run was step 3 (log).
Executed as user: CONTOSO\\svc-agent. Processed 3019 pages for database 'sales'. The step succeeded.
Table 'orders'. Scan count 3, logical reads 3303, physical reads 404, read-ahead reads 401, lob logical reads 0.
SQL Server Execution Times: CPU time = 3077 ms, elapsed time = 3303 ms.
key 3303 of table 3077 was inserted
vault of bank branch 3128, drawer 3900""".splitlines()


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
    ("The server responded 403, because the user does not have proper permission to perform the action. Please make sure you have the permission for the specified operation. At minimum,'get, wrapKey, unwrapKey' permissions are required.", "3113 "),
    ("[error: 3113, info: 403, state: 16] The server responded 403, because the user does not have proper permission to perform the action.", "3113 "),
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
    ("Error: 18456, Severity: 14, State: 38.\nLogin failed for user 'CONTOSO\\app'. Reason: Failed to open the explicitly specified database 'sales'. [CLIENT: 10.0.0.7]", "Message 18456 of SQL Server: the database"),
    ("Login failed for user 'ekm'. Reason: Password did not match that for the login provided. [CLIENT: 10.0.0.7]", "Message 18456 of SQL Server: SQL"),
]  # fmt: skip

VAULT = [
    ("AKV10000: Request is missing a Bearer or PoP token.", "AKV10000"),
    ('{"error":{"code":"Unauthorized","message":"AKV10000: Request is missing a Bearer or PoP token."}}', "AKV10000"),
    ("AADSTS50076: Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '797f4846'.", "AADSTS50076"),
    ("AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.", "AADSTS70043"),
    ('{"error":"invalid_request","error_description":"Identity not found"}', "identity_unavailable"),
    ('ManagedIdentityCredential authentication unavailable. The requested identity has not been assigned to this resource. Status: 400 (Bad Request) Content: {"error":"invalid_request","error_description":"Identity not found"}', "identity_unavailable"),
    ("azure.identity.CredentialUnavailableError: ManagedIdentityCredential authentication unavailable. Status: 403 (Forbidden)", "identity_unavailable"),
    ("ManagedIdentityCredential: The remote server returned an error: (403) Forbidden.", "identity_unavailable"),
    ("The vault 'contoso' was not found. Code: VaultNotFound", "VaultNotFound"),
    ("(VaultNotFound) The name 'contoso' of the vault was not found", "VaultNotFound"),
    ("Credential lifetime exceeds the max value allowed as per assigned policy.", "Entra ID's policy"),
    ('{"error":{"code":"Request_BadRequest","message":"Credential lifetime exceeds the max value allowed as per assigned policy"}}', "Entra ID's policy"),
    ("Caller is not authorized to perform action on resource. Action: 'Microsoft.KeyVault/vaults/keys/read' Assignment: (not found) DenyAssignmentId: '3303aaaa-1111-2222-3333-444444444444' DecisionReason: 'DeniedByDenyAssignment' Vault: contoso;location=westeurope", "A deny assignment"),
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


@pytest.mark.parametrize(("text", "start"), [*PROVIDER, *FILES, *VAULT])
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
    ("AADSTS7000222: expired. Provider error code: 3303", "AADSTS7000222", ()),
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
        ("Login failed for user 'x'. Reason: Failed to open the explicitly specified database 'sales'.", "secret", "Change no password"),
        ("VaultNotFound", "reset", "az keyvault list-deleted"),
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
