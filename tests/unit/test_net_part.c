/* SPDX-License-Identifier: MIT */
/*
 * Messages from node to node: the bits of the local run for bands of rows with halos, over several
 * nodes and within one; every way in which a request can fail ends it with a sentence, in bounded
 * time, and leaves the next one as good as before.
 */
#include "net_part.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define NODES 3
#define PATIENCE_MS 60000 /* as good as for ever */
#define TIMEOUT_MS 1500	  /* of cases in which it runs out; requests of theirs that succeed take far less */

static struct test_node node[NODES];
static char model[128];

static struct {
	pthread_mutex_t lock;
	uint32_t up;
	uint64_t bytes;
	char url[64];
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_transfer(void *user, const char *url, const struct kerf_transfer *t)
{
	pthread_mutex_lock(&told.lock);
	told.up += !t->down;
	told.bytes += t->down ? 0 : t->bytes;
	snprintf(told.url, sizeof(told.url), "%s", url);
	pthread_mutex_unlock(&told.lock);
}

static const struct kerf_observer watcher = {.transfer = on_transfer};

static int open_nodes(uint32_t timeout_ms)
{
	uint32_t i;

	for (i = 0; i < NODES; i++) {
		struct kerf_node_config cfg = {.part_timeout_ms = timeout_ms,
					       .max_connections = 200};

		/* What node 0 sends to its neighbours is watched. */
		if (!i)
			cfg.engine_config.observer = &watcher;
		net_open(&node[i], &cfg, "4");
	}
	snprintf(model, sizeof(model), "%s/bands.onnx", node[0].dir);
	band_write_model(model);
	return 0;
}

static int setup(void **state)
{
	return open_nodes(PATIENCE_MS);
}

static int setup_short(void **state)
{
	return open_nodes(TIMEOUT_MS);
}

static int teardown(void **state)
{
	uint32_t i;

	for (i = 0; i < NODES; i++)
		net_close(&node[i]);
	return 0;
}

static struct kerf_tensor image(uint64_t seed)
{
	struct kerf_tensor x = {.dtype = KERF_F32, .rank = 4, .dims = {1, 3, BAND_ROWS, 9}};
	struct kerf_rng rng;
	int64_t k;

	kerf_rng_seed(&rng, seed);
	x.data = kerf_tensor_alloc(kerf_tensor_bytes(&x));
	for (k = 0; k < kerf_tensor_count(&x); k++)
		((float *)x.data)[k] = (float)kerf_rng_below(&rng, 1000) / 100 - 5;
	return x;
}

static void engines(struct kerf_engine **e, uint32_t n, const uint32_t *on, const char *name)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		e[i] = net_engine(node[on[i]].url, name, 3);
}

static void close_engines(struct kerf_engine **e, uint32_t n)
{
	while (n)
		kerf_engine_close(e[--n]);
}

/* The reply of each band is its rows of the local run. */
static void same_bits(const struct bands *b, const struct band_request *q,
		      const struct kerf_tensor *y)
{
	size_t row = kerf_tensor_bytes(y) / BAND_ROWS;
	uint32_t k;

	for (k = 0; k < b->n; k++) {
		struct kerf_rows r = band_of(k, b->n);

		assert_int_equal(q->status[0][k], 0);
		assert_int_equal(q->status[1][k], 0);
		assert_int_equal(kerf_tensor_bytes(&q->out[k]), row * (size_t)(r.end - r.begin));
		assert_memory_equal(q->out[k].data, (char *)y->data + row * (size_t)r.begin,
				    kerf_tensor_bytes(&q->out[k]));
	}
}

static void run_once(struct bands *b, uint64_t number)
{
	struct kerf_tensor x = image(number), y = band_local(b, &x);
	struct band_request q;

	band_submit(b, &q, &x, number);
	assert_true(band_wait(&q, 20000));
	same_bits(b, &q, &y);
	band_request_finish(&q);
	free(x.data);
	free(y.data);
}

/* on[k]: the node of band k. Some requests one by one, then as many at once as there may be. */
static void check_bands(uint32_t n, const uint32_t *on)
{
	struct kerf_engine *e[BAND_MAX];
	struct kerf_tensor x[3], y[3];
	struct band_request q[3];
	struct kerf_err err = {""};
	struct bands b;
	uint64_t i, turn;

	engines(e, n, on, "ref");
	band_init(&b, model, n);
	if (band_prepare(&b, e, &err))
		net_die("prepare", &err);
	for (i = 1; i < 6; i++)
		run_once(&b, i);
	for (turn = 0; turn < 20; turn++) {
		for (i = 0; i < 3; i++) {
			x[i] = image(100 + turn * 3 + i);
			y[i] = band_local(&b, &x[i]);
		}
		for (i = 0; i < 3; i++)
			band_submit(&b, &q[i], &x[i], 100 + turn * 3 + i);
		for (i = 0; i < 3; i++) {
			assert_true(band_wait(&q[i], 20000));
			same_bits(&b, &q[i], &y[i]);
			band_request_finish(&q[i]);
			free(x[i].data);
			free(y[i].data);
		}
	}
	band_finish(&b);
	close_engines(e, n);
}

static void test_neighbours(void **state)
{
	pthread_mutex_lock(&told.lock);
	told.up = 0;
	told.bytes = 0;
	pthread_mutex_unlock(&told.lock);
	check_bands(3, (uint32_t[]){0, 1, 2});
	/*
	 * Node 0 has the first band: of each request it sends one row (9 x 5 floats) to node 1,
	 * behind each layer but the last.
	 */
	pthread_mutex_lock(&told.lock);
	assert_string_equal(told.url, node[1].url);
	assert_int_equal(told.up, 65 * 2);
	assert_true(told.bytes > 65 * 2 * 180 && told.bytes < 65 * 2 * (180 + 400));
	pthread_mutex_unlock(&told.lock);
}

static void test_one_node(void **state)
{
	check_bands(4, (uint32_t[]){0, 0, 0, 0});
}

static void test_mixed(void **state)
{
	check_bands(4, (uint32_t[]){1, 0, 0, 2});
}

static void test_one_band(void **state)
{
	check_bands(1, (uint32_t[]){2});
}

/* --- By hand: what a peer may say --- */

/* A slice of one layer in the middle of band 1: two or three ports in, out to home. */
struct hand {
	struct kerf_engine *e[BAND_MAX];
	struct bands b;
	char id[64];
	size_t bytes[BAND_MAX]; /* of the last layer's ports in */
};

static void hand_init(struct hand *h)
{
	struct kerf_err err = {""};
	char url[256];
	uint32_t i;

	engines(h->e, 3, (uint32_t[]){1, 0, 2}, "ref");
	band_init(&h->b, model, 3);
	if (band_prepare(&h->b, h->e, &err))
		net_die("prepare", &err);
	/* The last layer of the middle band, on node 0. */
	h->e[1]->ops->part_address(h->b.program[2][1], url, h->id);
	assert_string_equal(url, node[0].url);
	assert_int_equal(h->b.part[2][1].n_in, 3);
	for (i = 0; i < 3; i++)
		h->bytes[i] = kerf_port_bytes(h->b.slice[2][1], true, &h->b.part[2][1].in[i]);
}

static void hand_finish(struct hand *h)
{
	band_finish(&h->b);
	close_engines(h->e, 3);
}

/* POST to a path of the slice with a body of n zeros (or text); its status. */
static int post(const char *id, const char *what, const char *headers, size_t n, const char *text,
		char *body, size_t size)
{
	char *request = calloc(1, 512 + n);
	int fd = net_connect(&node[0]), status, k;

	assert_non_null(request);
	k = snprintf(request, 512,
		     "POST /kerf/v1/slices/%s/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n",
		     id, what, n, headers);
	if (text)
		strcpy(request + k, text);
	net_send(fd, request, (size_t)k + n);
	status = net_reply(fd, body, size, 20000);
	close(fd);
	free(request);
	return status;
}

static void refused(int want, const char *say, const char *id, const char *what,
		    const char *headers, size_t n)
{
	char body[1024] = "";
	int status = post(id, what, headers, n, NULL, body, sizeof(body));

	if (status != want || !strstr(body, say))
		print_error("%s %s %zu: %d %s, expected %d with '%s'\n", what, headers, n, status, body,
			    want, say);
	assert_int_equal(status, want);
	assert_non_null(strstr(body, say));
}

static void test_refusals(void **state)
{
	struct hand h;
	char id[64], url[256];

	hand_init(&h);
	refused(404, "no slice", "0123456789abcdef", "run", "Kerf-Request: 1\r\n", 0);
	refused(404, "no slice", "0123456789abcdef", "ports/0", "Kerf-Request: 1\r\n", 4);
	refused(404, "no port", h.id, "ports/3", "Kerf-Request: 1\r\n", 4);
	refused(404, "no port", h.id, "ports/-1", "Kerf-Request: 1\r\n", 4);
	refused(404, "no port", h.id, "ports/99999999999", "Kerf-Request: 1\r\n", 4);
	refused(400, "Kerf-Request", h.id, "ports/0", "", h.bytes[0]);
	refused(400, "Kerf-Request", h.id, "ports/0", "Kerf-Request: -1\r\n", h.bytes[0]);
	refused(400, "64 bits", h.id, "ports/0", "Kerf-Request: 99999999999999999999\r\n", h.bytes[0]);
	refused(400, "Kerf-Request", h.id, "ports/0", "Kerf-Request: 000000000000000000001\r\n",
		h.bytes[0]);
	/*
	 * A slice whose neighbours run it, one that is plain, and one that takes no plain requests.
	 */
	h.e[1]->ops->part_address(h.b.program[1][1], url, id);
	refused(400, "no port of slice", id, "run", "Kerf-Request: 1\r\n", 0);
	refused(501, "with ports", h.id, "profile", "", 0);
	h.e[1]->ops->part_address(h.b.program[0][1], url, id);
	refused(400, "home's", id, "ports/0", "Kerf-Request: 1\r\n", 4);
	{
		char body[512], request[256];

		snprintf(request, sizeof(request),
			 "POST /v2/models/kerf-slice-%s/infer HTTP/1.1\r\nHost: x\r\n"
			 "Inference-Header-Content-Length: 0\r\nContent-Length: 0\r\n\r\n", id);
		assert_int_equal(net_exchange(&node[0], request, body, sizeof(body)), 400);
		assert_non_null(strstr(body, "has ports"));
	}
	run_once(&h.b, 50);
	hand_finish(&h);
}

/* A job of home's that waits for the slice's outcome. */
static void begin_run_then(struct hand *h, struct band_request *q, uint64_t number,
			   void (*done)(struct kerf_job *job, int status), void *user)
{
	memset(q, 0, sizeof(*q));
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->cond, NULL);
	q->out[0] = (struct kerf_tensor){.dtype = KERF_U8, .rank = 1};
	q->out[0].dims[0] =
		(int64_t)kerf_port_bytes(h->b.slice[2][1], false, &h->b.part[2][1].out[0]);
	q->out[0].data = kerf_tensor_alloc((size_t)q->out[0].dims[0]);
	q->left = 1;
	q->job[0][0] = (struct kerf_job){.program = h->b.program[2][1], .out = &q->out[0],
					 .done = done, .user = user, .request = number,
					 .why = &q->why[0][0]};
	assert_int_equal(kerf_engine_submit(&q->job[0][0]), 0);
}

static void begin_run(struct hand *h, struct band_request *q, uint64_t number)
{
	begin_run_then(h, q, number, band_done, q);
}

static void ended(struct band_request *q, int status, const char *say)
{
	assert_true(band_wait(q, 20000));
	if (q->status[0][0] != status || !strstr(q->why[0][0].msg, say))
		print_error("ended with %d, '%s', expected %d with '%s'\n", q->status[0][0],
			    q->why[0][0].msg, status, say);
	assert_int_equal(q->status[0][0], status);
	assert_non_null(strstr(q->why[0][0].msg, say));
	band_request_finish(q);
}

static void test_by_hand(void **state)
{
	char sentence[KERF_PART_WHY] = "request 60, slice x at far:1: port 2: it\nrained";
	struct band_request q;
	char header[64];
	struct hand h;
	int i;

	hand_init(&h);
	/*
	 * All messages, in any order, then home's run; one that comes again, as its reply was lost,
	 * is fine.
	 */
	assert_int_equal(post(h.id, "ports/2", "Kerf-Request: 51\r\n", h.bytes[2], NULL, NULL, 0), 204);
	assert_int_equal(post(h.id, "ports/2", "Kerf-Request: 00000000000000000051\r\n", h.bytes[2], NULL,
			      NULL, 0), 204);
	assert_int_equal(post(h.id, "ports/2", "Kerf-Request: 51\r\n", h.bytes[2], "other", NULL, 0), 409);
	assert_int_equal(post(h.id, "ports/0", "Kerf-Request: 51\r\n", h.bytes[0], NULL, NULL, 0), 204);
	assert_int_equal(post(h.id, "ports/1", "Kerf-Request: 51\r\n", h.bytes[1], NULL, NULL, 0), 204);
	begin_run(&h, &q, 51);
	ended(&q, 0, "");
	assert_int_equal(post(h.id, "ports/1", "Kerf-Request: 51\r\n", h.bytes[1], NULL, NULL, 0), 204);
	refused(409, "before", h.id, "run", "Kerf-Request: 51\r\n", 0);
	/* One of wrong length, too short and too long, ends its request. */
	begin_run(&h, &q, 53);
	refused(400, "not what it takes", h.id, "ports/0", "Kerf-Request: 53\r\n", h.bytes[0] - 1);
	ended(&q, -EIO, "bytes by port 0, not what it takes");
	refused(400, "not what it takes", h.id, "ports/0", "Kerf-Request: 54\r\n", h.bytes[0] + 1);
	begin_run(&h, &q, 54);
	ended(&q, -EIO, "bytes by port 0, not what it takes");
	refused(400, "by run", h.id, "run", "Kerf-Request: 55\r\n", 8);
	/* It failed upstream: home gets the sentence, with nothing that a terminal obeys. */
	begin_run(&h, &q, 60);
	assert_int_equal(post(h.id, "ports/2", "Kerf-Request: 60\r\nKerf-Failed: 1\r\n", KERF_PART_WHY,
			      sentence, NULL, 0), 204);
	ended(&q, -EIO, "slice x at far:1: port 2: it?rained");
	/* The same from a slice without home's ports: those behind it hear of it. */
	{
		char id[64], url[256];

		h.e[1]->ops->part_address(h.b.program[1][1], url, id);
		begin_run(&h, &q, 61);
		assert_int_equal(post(id, "ports/1", "Kerf-Request: 61\r\nKerf-Failed: 1\r\n",
				      KERF_PART_WHY, sentence, NULL, 0), 204);
		ended(&q, -EIO, "it?rained");
	}
	/*
	 * Home says that a request failed: one that waits, and one of which nothing has come yet.
	 */
	assert_int_equal(post(h.id, "ports/0", "Kerf-Request: 63\r\n", h.bytes[0], NULL, NULL, 0), 204);
	for (i = 63; i < 65; i++) {
		snprintf(header, sizeof(header), "Kerf-Request: %d\r\nKerf-Failed: 1\r\n", i);
		assert_int_equal(post(h.id, "run", header, KERF_PART_WHY, sentence, NULL, 0), 204);
		*strchr(header, '\r') = 0;
		strcat(header, "\r\n");
		refused(409, "it?rained", h.id, "ports/1", header, h.bytes[1]);
	}
	refused(400, "a sentence of 3 bytes", h.id, "run", "Kerf-Request: 65\r\nKerf-Failed: 1\r\n", 3);
	run_once(&h.b, 62);
	hand_finish(&h);
}

/* Sends a run of the request, as home does. */
static int send_run(const struct test_node *at, const char *id, uint64_t number)
{
	int fd = net_connect(at), k;
	char request[256];

	k = snprintf(request, sizeof(request),
		     "POST /kerf/v1/slices/%s/run HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
		     "Kerf-Request: %llu\r\n\r\n", id, (unsigned long long)number);
	net_send(fd, request, (size_t)k);
	return fd;
}

/*
 * Whether home's job has come to the node and waits there: then another run of the request is
 * refused. False: that one came first, and so home's was refused.
 */
static bool job_waits(const struct test_node *at, const char *id, struct band_request *q,
		      uint64_t number)
{
	struct pollfd p = {.fd = send_run(at, id, number), .events = POLLIN};
	bool left = true;
	char body[1024];

	while (left && poll(&p, 1, 10) <= 0) {
		pthread_mutex_lock(&q->lock);
		left = q->left != 0;
		pthread_mutex_unlock(&q->lock);
	}
	if (left) {
		assert_int_equal(net_reply(p.fd, body, sizeof(body), 20000), 409);
		assert_non_null(strstr(body, "before"));
	}
	close(p.fd);
	return left;
}

/* Home runs a request twice: whichever comes last is refused, the other one is answered. */
static void test_run_twice(void **state)
{
	struct pollfd p[2] = {{.events = POLLIN}, {.events = POLLIN}};
	char body[1024], header[64] = "Kerf-Request: 52\r\n";
	struct hand h;
	uint32_t i;

	hand_init(&h);
	for (i = 0; i < 2; i++)
		p[i].fd = send_run(&node[0], h.id, 52);
	assert_int_equal(poll(p, 2, 20000), 1);
	i = !p[0].revents;
	assert_int_equal(net_reply(p[i].fd, body, sizeof(body), 20000), 409);
	assert_non_null(strstr(body, "before"));
	close(p[i].fd);
	i = !i;
	assert_int_equal(post(h.id, "ports/0", header, h.bytes[0], NULL, NULL, 0), 204);
	assert_int_equal(post(h.id, "ports/1", header, h.bytes[1], NULL, NULL, 0), 204);
	assert_int_equal(post(h.id, "ports/2", header, h.bytes[2], NULL, NULL, 0), 204);
	assert_int_equal(net_reply(p[i].fd, NULL, 0, 20000), 200);
	close(p[i].fd);
	hand_finish(&h);
}

/* A message that does not come is named; a late one takes no slot. */
static void test_no_message(void **state)
{
	struct band_request q;
	struct hand h;

	hand_init(&h);
	assert_int_equal(post(h.id, "ports/1", "Kerf-Request: 52\r\n", h.bytes[1], NULL, NULL, 0), 204);
	begin_run(&h, &q, 52);
	ended(&q, -ETIMEDOUT, "no message came in 1.5 s by port 0, 2");
	refused(409, "no message came", h.id, "ports/0", "Kerf-Request: 52\r\n", h.bytes[0]);
	run_once(&h.b, 62);
	hand_finish(&h);
}

/* More requests than slots: the first too many waits for one to end. */
static void test_depth(void **state)
{
	char header[64];
	struct hand h;
	uint32_t i;

	hand_init(&h);
	for (i = 0; i < 4; i++) {
		snprintf(header, sizeof(header), "Kerf-Request: %u\r\n", 70 + i);
		assert_int_equal(post(h.id, "ports/0", header, h.bytes[0], NULL, NULL, 0), 204);
	}
	assert_int_equal(post(h.id, "ports/0", "Kerf-Request: 74\r\n", h.bytes[0], NULL, NULL, 0), 204);
	refused(409, "no message came", h.id, "ports/1", "Kerf-Request: 70\r\n", h.bytes[1]);
	run_once(&h.b, 80);
	hand_finish(&h);
}

/* A message whose sender goes away in the middle may come again. */
static void test_broken_off(void **state)
{
	char request[256];
	struct hand h;
	int fd, n, status = 0;

	hand_init(&h);
	fd = net_connect(&node[0]);
	n = snprintf(request, sizeof(request),
		     "POST /kerf/v1/slices/%s/ports/0 HTTP/1.1\r\nHost: x\r\nKerf-Request: 90\r\n"
		     "Content-Length: %zu\r\n\r\nabc", h.id, h.bytes[0]);
	net_send(fd, request, (size_t)n);
	usleep(50000);
	close(fd);
	/* Until the node has noticed, it has come before. */
	for (n = 0; n < 2000; n++) {
		status = post(h.id, "ports/0", "Kerf-Request: 90\r\n", h.bytes[0], NULL, NULL, 0);
		if (status != 409)
			break;
		usleep(10000);
	}
	assert_int_equal(status, 204);
	run_once(&h.b, 91);
	hand_finish(&h);
}

/* A slice that is deleted while home waits for it. */
static void test_deleted(void **state)
{
	struct band_request q;
	char request[256];
	uint64_t number = 100;
	struct hand h;

	hand_init(&h);
	begin_run(&h, &q, number);
	while (!job_waits(&node[0], h.id, &q, number) && number < 120) {
		assert_true(band_wait(&q, 20000));
		band_request_finish(&q);
		begin_run(&h, &q, ++number);
	}
	snprintf(request, sizeof(request), "DELETE /kerf/v1/slices/%s HTTP/1.1\r\nHost: x\r\n\r\n", h.id);
	assert_int_equal(net_exchange(&node[0], request, NULL, 0), 200);
	ended(&q, -EIO, "deleted");
	hand_finish(&h);
}

struct after {
	struct hand *h;
	struct band_request first, second;
};

/* On the thread that connects: it cannot do that between the two calls. */
static void submit_and_cancel(struct kerf_job *job, int status)
{
	struct after *a = job->user;

	begin_run(a->h, &a->second, 111);
	job->program->engine->ops->cancel(&a->second.job[0][0]);
	job->user = &a->first;
	band_done(job, status);
}

/* A job that is cancelled before its connection is made ends, and never reaches the peer. */
static void test_cancel_unconnected(void **state)
{
	struct after a;
	struct hand h;
	struct kerf_job *job = &a.first.job[0][0];

	hand_init(&h);
	a.h = &h;
	begin_run_then(&h, &a.first, 110, submit_and_cancel, &a);
	job->program->engine->ops->cancel(job);
	ended(&a.first, -ECANCELED, "");
	ended(&a.second, -ECANCELED, "");
	assert_int_equal(post(h.id, "ports/0", "Kerf-Request: 111\r\n", h.bytes[0], NULL, NULL, 0), 204);
	run_once(&h.b, 120);
	hand_finish(&h);
}

/* --- Preparing --- */

static void test_prepare(void **state)
{
	struct kerf_engine *e[2];
	struct kerf_err err = {""};
	struct bands b;
	char url[256], id[64];
	struct kerf_port *p;

	engines(e, 2, (uint32_t[]){0, 1}, "ref");
	band_init(&b, model, 2);
	assert_int_equal(band_prepare(&b, e, &err), 0);
	e[0]->ops->release(b.program[0][0]);
	b.program[0][0] = NULL;
	p = &b.part[0][0].out[1];
	assert_string_equal(p->url, node[1].url);
	snprintf(url, sizeof(url), "%s", p->url);
	snprintf(id, sizeof(id), "%s", p->slice);

	/* Nobody listens there. */
	snprintf(p->url, sizeof(p->url), "http://127.0.0.1:1");
	err.msg[0] = 0;
	assert_true(e[0]->ops->prepare_part(e[0], b.slice[0][0], &b.part[0][0], &b.program[0][0],
					    &err));
	assert_non_null(strstr(err.msg, "http://127.0.0.1:1"));
	/* Beyond loopback, and nobody said --insecure. */
	snprintf(p->url, sizeof(p->url), "http://192.0.2.1:8470");
	err.msg[0] = 0;
	assert_true(e[0]->ops->prepare_part(e[0], b.slice[0][0], &b.part[0][0], &b.program[0][0],
					    &err));
	assert_non_null(strstr(err.msg, "--insecure"));
	/* No URL of a node. */
	snprintf(p->url, sizeof(p->url), "http://127.0.0.1:80/x");
	err.msg[0] = 0;
	assert_int_equal(
		e[0]->ops->prepare_part(e[0], b.slice[0][0], &b.part[0][0], &b.program[0][0], &err),
		-EINVAL);
	/* A slice of this node that is not there, and one that takes another length. */
	p->url[0] = 0;
	err.msg[0] = 0;
	assert_int_equal(
		e[0]->ops->prepare_part(e[0], b.slice[0][0], &b.part[0][0], &b.program[0][0], &err),
		-EINVAL);
	assert_non_null(strstr(err.msg, "no slice"));
	snprintf(p->slice, sizeof(p->slice), "%s", b.part[0][0].out[0].slice);
	p->port = b.part[0][0].out[0].port;
	err.msg[0] = 0;
	assert_int_equal(
		e[0]->ops->prepare_part(e[0], b.slice[0][0], &b.part[0][0], &b.program[0][0], &err),
		-EINVAL);
	assert_non_null(strstr(err.msg, "bytes"));
	assert_null(b.program[0][0]);
	/* As it was. */
	snprintf(p->url, sizeof(p->url), "%s", url);
	snprintf(p->slice, sizeof(p->slice), "%s", id);
	p->port = 0;
	assert_int_equal(
		e[0]->ops->prepare_part(e[0], b.slice[0][0], &b.part[0][0], &b.program[0][0], NULL),
		0);
	run_once(&b, 1);
	band_finish(&b);
	close_engines(e, 2);
}

/* --- A node that dies --- */

static pid_t spawn_node(uint16_t *port)
{
	int out[2];
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		static const char *const names[] = {"ref"};
		struct kerf_node_config cfg = {.listen = "127.0.0.1:0", .n_engine = 1, .engine = names};
		char cache[96];
		struct kerf_node *n;
		uint16_t at;

		snprintf(cache, sizeof(cache), "%s/other", node[0].dir);
		cfg.cache_dir = cache;
		if (kerf_node_open(&cfg, &n, NULL))
			_exit(1);
		at = kerf_node_port(n);
		if (write(out[1], &at, sizeof(at)) != sizeof(at))
			_exit(1);
		for (;;)
			pause();
	}
	close(out[1]);
	assert_int_equal(read(out[0], port, sizeof(*port)), sizeof(*port));
	close(out[0]);
	return pid;
}

/*
 * Band 1 of 3 dies between two requests: the next ends with errors everywhere, for the others
 * after the time that messages may take; bands over those that are left run as before.
 */
static void test_death(void **state)
{
	struct kerf_tensor x = image(1);
	struct kerf_engine *e[3];
	struct band_request q;
	struct kerf_err err = {""};
	struct bands b;
	uint16_t port;
	uint32_t k;
	char url[64];
	pid_t pid = spawn_node(&port);

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	e[0] = net_engine(node[0].url, "ref", 3);
	e[1] = net_engine(url, "ref", 3);
	e[2] = net_engine(node[2].url, "ref", 3);
	band_init(&b, model, 3);
	if (band_prepare(&b, e, &err))
		net_die("prepare", &err);
	run_once(&b, 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	band_submit(&b, &q, &x, 2);
	assert_true(band_wait(&q, 20000));
	assert_true(q.status[0][1] == -EIO || q.status[0][1] == -ENODEV);
	for (k = 0; k < 3; k++)
		assert_true(q.status[1][k] < 0);
	/* The last layer of a live one: its neighbour's message did not come. */
	assert_true(q.status[1][0] == -ETIMEDOUT || q.status[1][0] == -EIO);
	assert_non_null(strstr(q.why[1][0].msg, node[0].url));
	assert_non_null(strstr(q.why[1][0].msg, "port"));
	band_request_finish(&q);
	free(x.data);
	band_finish(&b);
	kerf_engine_close(e[1]);
	kerf_engine_close(e[0]);
	kerf_engine_close(e[2]);
	check_bands(3, (uint32_t[]){0, 2, 0});
}

/* A node is closed while it waits, and its neighbours too: nothing hangs, nothing is lost. */
static void test_close(void **state)
{
	struct kerf_node_config cfg = {.max_connections = 100}, other = cfg;
	struct test_node near, far;
	struct kerf_tensor x = image(1);
	struct kerf_engine *e[2];
	struct band_request q;
	struct kerf_err err = {""};
	char url[256], id[64];
	uint64_t number = 3;
	struct bands b;

	net_open(&near, &cfg, "4");
	net_open(&far, &other, "4");
	e[0] = net_engine(near.url, "ref", 3);
	e[1] = net_engine(far.url, "ref", 3);
	band_init(&b, model, 2);
	if (band_prepare(&b, e, &err))
		net_die("prepare", &err);
	run_once(&b, 1);
	e[0]->ops->part_address(b.program[2][0], url, id);
	/* Only the upper band's first layer is run: everybody else waits. */
	band_submit(&b, &q, &x, 2);
	assert_true(band_wait(&q, 20000));
	band_request_finish(&q);
again:
	memset(&q, 0, sizeof(q));
	pthread_mutex_init(&q.lock, NULL);
	pthread_cond_init(&q.cond, NULL);
	q.out[0] = (struct kerf_tensor){.dtype = KERF_U8, .rank = 1};
	q.out[0].dims[0] = (int64_t)kerf_port_bytes(b.slice[2][0], false, &b.part[2][0].out[0]);
	q.out[0].data = kerf_tensor_alloc((size_t)q.out[0].dims[0]);
	q.left = 1;
	q.job[0][0] = (struct kerf_job){.program = b.program[2][0],
					.out = &q.out[0],
					.done = band_done,
					.user = &q,
					.request = number,
					.why = &q.why[0][0]};
	assert_int_equal(kerf_engine_submit(&q.job[0][0]), 0);
	if (!job_waits(&near, id, &q, number) && ++number < 20) {
		assert_true(band_wait(&q, 20000));
		band_request_finish(&q);
		goto again;
	}
	net_close(&near);
	net_close(&far);
	ended(&q, -EIO, "the node ends");
	free(x.data);
	band_finish(&b);
	kerf_engine_close(e[0]);
	kerf_engine_close(e[1]);
}

int main(void)
{
#define PATIENT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define SHORT(f) cmocka_unit_test_setup_teardown(f, setup_short, teardown)
	const struct CMUnitTest tests[] = {
		PATIENT(test_neighbours), PATIENT(test_one_node), PATIENT(test_mixed),
		PATIENT(test_one_band),	  PATIENT(test_refusals), PATIENT(test_by_hand),
		PATIENT(test_run_twice),  SHORT(test_no_message), SHORT(test_depth),
		PATIENT(test_broken_off), PATIENT(test_deleted),  PATIENT(test_cancel_unconnected),
		PATIENT(test_prepare),	  SHORT(test_death),	  PATIENT(test_close),
	};
	const struct CMUnitTest absent[] = {cmocka_unit_test(net_test_absent)};

	signal(SIGPIPE, SIG_IGN);
	if (!NET_BUILT)
		return cmocka_run_group_tests(absent, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
