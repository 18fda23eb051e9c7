package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/python-wheel-build/axle/internal/testindex"
	"github.com/python-wheel-build/axle/internal/testtools"
)

var benchServe = flag.Bool("bench-serve", false, "compare the CPU of serving with nginx's, which is given the same bytes as files")

// How much CPU an answer may cost, as a multiple of nginx's.
const (
	maxPageCPU = 2.5
	maxFileCPU = 1.5
)

// What pip 26 sends for a page, and for a file.
var (
	pageAsks = []string{"Accept: application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01",
		"Accept-Encoding: gzip, deflate, zstd", "Cache-Control: max-age=0", "User-Agent: pip/26.3 {\"python\":\"3.11\"}"}
	fileAsks = []string{"Accept: */*", "Accept-Encoding: identity", "User-Agent: pip/26.3 {\"python\":\"3.11\"}"}
)

// TestBenchServe: a page of hits and a wheel of 20 MiB cost at most so much more of the server's CPU than the same bytes from nginx, which
// finds both as files, the page compressed beforehand. Rounds of the two take turns, since the machine's speed changes all the time.
func TestBenchServe(t *testing.T) {
	if !*benchServe {
		t.Skip("takes a minute of an otherwise idle machine: `make bench-serve`")
	}
	r := newRig(t)
	r.config = "views:\n  default:\n    settings: overrides/\n    wheels_only: pre-built\n    upstream: {main: %UP%}\n"
	r.args = []string{"--workers", "0"}
	noise := make([]byte, 20<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for i := range 12 {
		r.up.AddWheel(testindex.Spec{Name: "demo", Version: fmt.Sprintf("2.%d.1", i), RequiresPython: ">=3.8",
			Tags: "py2.py3-none-manylinux_2_5_x86_64.manylinux1_x86_64.manylinux_2_17_x86_64.manylinux2014_x86_64"})
	}
	r.up.AddWheel(testindex.Spec{Name: "large", Version: "1.0", Files: map[string]string{"wheel/noise.bin": string(noise)}})
	r.start()
	// Taken as they are on their first fetch, which needs no build: from then on they are hits.
	for _, f := range append(r.files("demo"), r.only("large")) {
		if got := r.get(f.URL, nil); got.status != 200 {
			t.Fatalf("%s: %d %s", f.URL, got.status, got.body)
		}
	}
	wheel := r.only("large")
	for _, f := range append(r.files("demo"), wheel) {
		if !f.hit() {
			t.Fatalf("%s is no hit", f.Filename)
		}
	}
	asked := map[string]string{}
	for _, line := range pageAsks {
		name, value, _ := strings.Cut(line, ": ")
		asked[name] = value
	}
	zipped := r.get("/simple/demo/", asked).body // asked for by name, so left as it is
	delete(asked, "Accept-Encoding")
	page := r.get("/simple/demo/", asked).body // unpacked again
	bytesOf := r.get(wheel.URL, nil).body
	if !strings.HasPrefix(zipped, "\x1f\x8b") || !strings.HasPrefix(page, "{") || len(bytesOf) < len(noise) {
		t.Fatalf("page %.20q, zipped %.20q, a wheel of %d bytes", page, zipped, len(bytesOf))
	}
	r.write("nginx/page.json", page)
	r.write("nginx/page.json.gz", zipped)
	r.write("nginx/wheel.whl", bytesOf)
	nginx, base := startNginx(r)
	t.Logf("page: %d bytes, %d with gzip; wheel: %d bytes; %d processors", len(page), len(zipped), len(bytesOf), runtime.NumCPU())

	compare(t, "page, µs of CPU per request", maxPageCPU, pageAsks, 2*time.Second, 1e6,
		served{r.cmd.Process.Pid, r.base + "/simple/demo/"}, served{nginx, base + "/page.json"}, len(zipped))
	compare(t, "wheel, ms of CPU per 20 MiB", maxFileCPU, fileAsks, 3*time.Second, 1e3,
		served{r.cmd.Process.Pid, wheel.URL}, served{nginx, base + "/wheel.whl"}, len(bytesOf))
}

// served is a URL and the process that, with all its children, answers it.
type served struct {
	pid int
	url string
}

// compare prints what one answer costs either server and demands that ours costs at most so many times nginx's.
func compare(t *testing.T, what string, most float64, headers []string, round time.Duration, unit float64, ours, theirs served, size int) {
	t.Helper()
	const rounds = 7
	var a, b, ratios []float64
	for i := range rounds + 1 {
		x, y := cost(t, ours, headers, round, size)*unit, cost(t, theirs, headers, round, size)*unit
		if i == 0 {
			continue // both have read everything once by then
		}
		a, b, ratios = append(a, x), append(b, y), append(ratios, x/y)
	}
	fmt.Printf("%s: axle %.4g, nginx %.4g, ratio %.2f (medians of %d rounds; the ratios were %.2f; at most %.1f is asked for)\n",
		what, median(a), median(b), median(a)/median(b), rounds, ratios, most)
	if got := median(a) / median(b); got > most {
		t.Errorf("%s: %.2f times nginx's, want at most %.1f", what, got, most)
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// cost is the CPU time in seconds that a server takes for one answer of so many bytes, with eight clients at once.
func cost(t *testing.T, s served, headers []string, round time.Duration, size int) float64 {
	t.Helper()
	args := []string{"-t1", "-c8", "--timeout", "30s", fmt.Sprintf("-d%ds", int(round.Seconds())), "-s", filepath.Join("testdata", "report.lua")}
	for _, h := range headers {
		args = append(args, "-H", h)
	}
	ctx, cancel := context.WithTimeout(t.Context(), round+30*time.Second)
	defer cancel()
	before := cpu(t, s.pid)
	out, err := exec.CommandContext(ctx, benchTool(t, "wrk"), append(args, s.url)...).Output()
	used := cpu(t, s.pid) - before
	if err != nil {
		t.Fatalf("wrk %s: %v\n%s", s.url, err, out)
	}
	_, report, _ := bytes.Cut(out, []byte("REPORT "))
	var requests, errors, read float64
	if _, err := fmt.Sscanf(string(report), "%g %g %g", &requests, &errors, &read); err != nil || requests == 0 || errors != 0 {
		t.Fatalf("wrk %s: %d requests, %d errors, %v\n%s", s.url, int(requests), int(errors), err, out)
	}
	// Headers are part of what is read, and the answers that the end of the round cut off are part of what was worked for. So large answers
	// are counted by their bytes; of small ones not even one in a thousand is cut off.
	if requests < 1000 {
		requests = read / float64(size)
	} else if each := read / requests; each < float64(size) || each > float64(size+1024) {
		t.Fatalf("wrk %s: %g bytes for each answer, want %d and a header", s.url, each, size)
	}
	return used / requests
}

// cpu is the time in seconds that a process and its children have been running.
func cpu(t *testing.T, pid int) float64 {
	t.Helper()
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil || len(children) == 0 {
		t.Fatalf("process %d has ended (%v)", pid, err)
	}
	total := clock(t, pid)
	for _, path := range children {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that has ended
		}
		for _, child := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(child)
			if err != nil {
				t.Fatalf("%s: %q", path, b)
			}
			total += clock(t, n)
		}
	}
	return total
}

// clock reads a process's own clock, which counts nanoseconds; the times in /proc are whole hundredths of a second.
func clock(t *testing.T, pid int) float64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil { // clock_getcpuclockid(3)
		t.Fatalf("clock of process %d: %v", pid, err)
	}
	return float64(ts.Nano()) / 1e9
}

// startNginx serves the rig's folder nginx as an operator would set it up for static files.
func startNginx(r *rig) (pid int, base string) {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.ok(err)
	address := l.Addr().String()
	r.ok(l.Close())
	dir := filepath.Join(r.dir, "nginx")
	user := ""
	if os.Getuid() == 0 {
		user = "user root root;" // others can't read the test's folder
	}
	r.write("nginx/nginx.conf", strings.NewReplacer("%USER%", user, "%LISTEN%", address, "%DIR%", dir).Replace(`%USER%
daemon off;
worker_processes 2;
pid %DIR%/pid;
error_log %DIR%/error.log;
events { worker_connections 768; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000000;
	client_body_temp_path %DIR%/body; proxy_temp_path %DIR%/proxy; fastcgi_temp_path %DIR%/fastcgi; uwsgi_temp_path %DIR%/uwsgi; scgi_temp_path %DIR%/scgi;
	types { application/vnd.pypi.simple.v1+json json; }
	default_type application/octet-stream;
	add_header Cache-Control max-age=0;
	server { listen %LISTEN%; root %DIR%; gzip_static on; }
}
`))
	cmd := exec.Command(benchTool(r.t, "nginx"), "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	cmd.Stderr = r.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	r.ok(cmd.Start())
	r.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
	})
	base = "http://" + address
	r.eventually("nginx answers", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			err = c.Close()
		}
		return err == nil
	})
	if got := r.get(base+"/page.json", map[string]string{"Accept-Encoding": "gzip"}); got.status != 200 || got.header.Get("Content-Encoding") != "gzip" {
		r.t.Fatalf("nginx: %d %v", got.status, got.header)
	}
	return cmd.Process.Pid, base
}

func benchTool(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(testtools.Dir(t), "bench", "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no %s: `make bench-serve` gets it (%v)", name, err)
	}
	return path
}
