/*-------------------------------------------------------------------------
 *
 * read_after.c
 *	  Reading one's own writes on a standby (read_after.h).
 *
 * On a standby a snapshot keeps all transactions that are in progress among the
 * subtransactions, which XidInMVCCSnapshot() knows and pg_visible_in_snapshot()
 * does not.
 *
 * The statement that waits has a snapshot, which nothing can give back.  Replay of
 * a record that removes what that snapshot still sees would wait for it, for as
 * long as this waits: another reason for a short taskapi.read_after_wait.
 *
 * SQL: sql/install/10_request.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/pg_bswap.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/base64url.h"
#include "base/compat.h"
#include "base/hmac.h"
#include "base/secret.h"
#include "http/layer.h"
#include "http/problem.h"
#include "http/read_after.h"
#include "http/request.h"
#include "http/response.h"

#define PURPOSE			"read-after"
#define SECRET_PURPOSE	"cursor"
#define TOKEN_VERSION	1

#define BODY_LENGTH		(1 + 4 + 8 + 4 + 8)
#define MAC_LENGTH		16
#define TOKEN_LENGTH	TASKAPI_BASE64URL_ENCODED_LEN(BODY_LENGTH + MAC_LENGTH)

/* How long a poll sleeps, in milliseconds: twice as long each time, up to the most */
#define FIRST_SLEEP		1
#define LONGEST_SLEEP	16

typedef struct ReadAfter
{
	uint64		system;
	TimeLineID	timeline;
	uint64		transaction;
} ReadAfter;

static int	read_after_wait = 2000;

/* The token of the transaction that was sealed last */
static struct
{
	uint64		transaction;
	char		text[TOKEN_LENGTH + 1];
} sealed;

static void mac_of(const TaskapiSecret *key, const uint8 *body, uint8 mac[PG_SHA256_DIGEST_LENGTH]);
static void seal(uint64 transaction, char *text);
static bool open_token(const char *text, int len, ReadAfter *token);
pg_noreturn static void invalid(const char *details);
static int	read_header(ReadAfter *tokens);
static bool is_settled(const ReadAfter *token, Snapshot snapshot);
static bool all_settled(const ReadAfter *tokens, int n, Snapshot snapshot);
pg_noreturn static void not_yet(const char *hint);

void
taskapi_read_after_init(void)
{
	DefineCustomIntVariable("taskapi.read_after_wait",
							"Sets how long a standby waits for the write that a request's Read-After names.",
							"After that the request is refused as try_again; 0 does not wait. "
							"-1 turns the header off: writes do not return it, and a standby ignores it.",
							&read_after_wait,
							2000, -1, 60 * 60 * 1000,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
}

/* ---------- the answer to a write ---------- */

const char *
taskapi_read_after_token(void)
{
	uint64		transaction = U64FromFullTransactionId(GetTopFullTransactionIdIfAny());

	if (transaction == 0 || read_after_wait < 0)
		return NULL;
	if (sealed.transaction != transaction)
	{
		sealed.transaction = 0;
		seal(transaction, sealed.text);
		sealed.transaction = transaction;
	}
	return sealed.text;
}

void
taskapi_read_after_announce(void)
{
	const char *token = taskapi_in_request() ? taskapi_read_after_token() : NULL;
	const char *known;

	if (token == NULL)
		return;
	known = taskapi_response_header(TASKAPI_READ_AFTER_HEADER);
	if (known == NULL || strcmp(known, token) != 0)
		taskapi_set_response_header(TASKAPI_READ_AFTER_HEADER, token);
}

/*
 * Of an xid that wrote a row which is still there the last 2^32 transactions know one.
 */
char *
taskapi_read_after_of(TransactionId xid)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	char	   *text;

	if (read_after_wait < 0 || RecoveryInProgress() || !TransactionIdIsNormal(xid))
		return NULL;
	text = palloc(TOKEN_LENGTH + 1);
	seal(next - (uint32) ((uint32) next - xid), text);
	return text;
}

/* ---------- the token ---------- */

static void
mac_of(const TaskapiSecret *key, const uint8 *body, uint8 mac[PG_SHA256_DIGEST_LENGTH])
{
	uint8		data[sizeof(PURPOSE) + BODY_LENGTH];

	memcpy(data, PURPOSE, sizeof(PURPOSE));
	memcpy(data + sizeof(PURPOSE), body, BODY_LENGTH);
	taskapi_hmac_sha256(key->bytes, key->len, true, data, sizeof(data), mac);
}

static void
seal(uint64 transaction, char *text)
{
	const TaskapiSecret *key = taskapi_secret_current(SECRET_PURPOSE);
	uint32		key_id = pg_hton32((uint32) key->key_id);
	uint64		system = pg_hton64(GetSystemIdentifier());
	uint32		timeline = pg_hton32(GetWALInsertionTimeLine());
	uint8		bytes[BODY_LENGTH + PG_SHA256_DIGEST_LENGTH];

	transaction = pg_hton64(transaction);
	bytes[0] = TOKEN_VERSION;
	memcpy(bytes + 1, &key_id, 4);
	memcpy(bytes + 5, &system, 8);
	memcpy(bytes + 13, &timeline, 4);
	memcpy(bytes + 17, &transaction, 8);
	mac_of(key, bytes, bytes + BODY_LENGTH);
	text[taskapi_base64url_encode(bytes, BODY_LENGTH + MAC_LENGTH, text)] = '\0';
}

/*
 * False if it asks for nothing here.
 */
static bool
open_token(const char *text, int len, ReadAfter *token)
{
	uint8		bytes[BODY_LENGTH + MAC_LENGTH];
	uint8		mac[PG_SHA256_DIGEST_LENGTH];
	uint32		key_id;
	const TaskapiSecret *key;

	if (len != TOKEN_LENGTH || taskapi_base64url_decode(text, len, bytes) != sizeof(bytes) ||
		bytes[0] != TOKEN_VERSION)
		invalid("It is not a token of an answer.");
	memcpy(&key_id, bytes + 1, 4);
	key_id = pg_ntoh32(key_id);
	key = key_id <= PG_INT32_MAX ? taskapi_secret_find(SECRET_PURPOSE, (int) key_id) : NULL;
	if (key == NULL)
		return false;
	mac_of(key, bytes, mac);
	if (timingsafe_bcmp(mac, bytes + BODY_LENGTH, MAC_LENGTH) != 0)
		invalid("It is not a token of an answer.");

	memcpy(&token->system, bytes + 5, 8);
	memcpy(&token->timeline, bytes + 13, 4);
	memcpy(&token->transaction, bytes + 17, 8);
	token->system = pg_ntoh64(token->system);
	token->timeline = pg_ntoh32(token->timeline);
	token->transaction = pg_ntoh64(token->transaction);
	return token->system == GetSystemIdentifier();
}

static void
invalid(const char *details)
{
	taskapi_problem(PROBLEM_READ_AFTER_INVALID, NIL, "Send the Read-After of the answer to the write, or none.", "%s", details);
}

/* ---------- the wait ---------- */

/*
 * The tokens of the header that ask for something here; how many they are.
 */
static int
read_header(ReadAfter *tokens)
{
	const char *pos = taskapi_request_header(TASKAPI_READ_AFTER_HEADER);
	int			seen = 0;
	int			n = 0;

	if (pos == NULL)
		return 0;
	for (;;)
	{
		int			len;

		pos += strspn(pos, " \t,");
		if (*pos == '\0')
			return n;
		if (++seen > TASKAPI_READ_AFTER_MAX)
			invalid(psprintf("It names more than %d writes.", TASKAPI_READ_AFTER_MAX));
		len = strcspn(pos, " \t,");
		if (open_token(pos, len, &tokens[n]))
			n++;
		pos += len;
	}
}

/*
 * Is the transaction over, as the snapshot sees it, or can it not come any more?
 */
static bool
is_settled(const ReadAfter *token, Snapshot snapshot)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	TimeLineID	timeline;

	if (token->transaction < next &&
		(next - token->transaction > PG_INT32_MAX ||
		 !XidInMVCCSnapshot((TransactionId) token->transaction, snapshot)))
		return true;
	(void) GetXLogReplayRecPtr(&timeline);
	return timeline > token->timeline;
}

static bool
all_settled(const ReadAfter *tokens, int n, Snapshot snapshot)
{
	for (int i = 0; i < n; i++)
	{
		if (!is_settled(&tokens[i], snapshot))
			return false;
	}
	return true;
}

bool
taskapi_read_after_wait(void)
{
	ReadAfter	tokens[TASKAPI_READ_AFTER_MAX];
	int			n;
	TimestampTz deadline;
	int			sleep = FIRST_SLEEP;

	if (!RecoveryInProgress() || read_after_wait < 0)
		return false;
	n = read_header(tokens);
	if (IsolationUsesXactSnapshot())
	{
		if (!all_settled(tokens, n, GetTransactionSnapshot()))
			not_yet("Send the request again.");
		return false;
	}
	if (all_settled(tokens, n, GetLatestSnapshot()))
		return false;

	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), read_after_wait);
	do
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (left <= 0)
			not_yet("Send the request again, or to the primary.");
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min(left, sleep), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		sleep = Min(sleep * 2, LONGEST_SLEEP);
	} while (RecoveryInProgress() && !all_settled(tokens, n, GetLatestSnapshot()));
	return true;
}

static void
not_yet(const char *hint)
{
	taskapi_problem(PROBLEM_TRY_AGAIN, NIL, hint, "The write that Read-After names is not on this server yet.");
}

/*
 * read_after() -> text
 */
PG_FUNCTION_INFO_V1(taskapi_read_after);
Datum
taskapi_read_after(PG_FUNCTION_ARGS)
{
	const char *token = taskapi_read_after_token();

	if (token == NULL)
		PG_RETURN_NULL();
	taskapi_read_after_announce();
	PG_RETURN_TEXT_P(cstring_to_text(token));
}
