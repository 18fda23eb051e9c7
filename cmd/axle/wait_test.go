package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/index"
	"github.com/python-wheel-build/axle/index/live"
	"github.com/python-wheel-build/axle/internal/testindex"
)

var slow = flag.Bool("slow", false, "have the clients wait for a build and for a hook of ten minutes (eleven minutes)")

// TestLongBuild: a build, and a hook that finds out metadata, each of which outlasts every time-out and every retry that clients have
// on their own.
func TestLongBuild(t *testing.T) {
	t.Parallel() // nearly two minutes of sleep
	outlive(t, 100*time.Second)
}

// TestSlow is the same for ten minutes, which the clients' defaults just allow.
func TestSlow(t *testing.T) {
	if !*slow {
		t.Skip("eleven minutes: `make slow` runs it; TestLongBuild waits for 100 s")
	}
	outlive(t, 10*time.Minute)
}

// outlive has all clients wait for a build and for a hook of that length, all at once; each is done once. Meanwhile the log of both is
// followed, and shows each line when it is printed.
func outlive(t *testing.T, long time.Duration) {
	r := newRacingRig(t)
	ticks := fmt.Sprintf("import time\nend, i = time.time() + %g, 0\nwhile time.time() < end:\n    print('tick', i, time.time())\n    time.sleep(1)\n    i += 1\n", long.Seconds())
	r.up.Add(testindex.Spec{Name: "slow", Version: "1.0", Marker: "s", OnBuild: ticks},
		testindex.Spec{Name: "oracle", Version: "1.0", Marker: "o", MetadataVersion: "2.1", OnPrepare: ticks, Requires: []string{"base"}}, spec("base", "1.0", "b"))
	r.start() // two slots, one for each of the two: anything done a second time would have to wait until one of them is free
	// The longest a client waits without a word: headers 15 s (pip), 30 s (uv); with all retries 98 s and 130 s.
	type result struct {
		client, project, folder, output string
		took                            time.Duration
		err                             error
	}
	results := make(chan result)
	began := time.Now()
	wanted := 0
	for _, c := range clients(t) {
		for _, project := range []string{"slow", "oracle"} {
			wanted++
			home := r.home()
			go func() {
				folder, output, err := r.install(c, home, project)
				results <- result{c.name, project, folder, output, time.Since(began), err}
			}()
		}
	}
	var logs sync.WaitGroup
	defer logs.Wait()
	for _, stage := range []string{"slow 1.0 wheel", "oracle 1.0 metadata"} {
		logs.Go(func() {
			last := r.ticking(stage, int(long.Seconds())/2) // a busy machine sleeps longer than it is told to
			if want := map[string]string{"slow 1.0 wheel": "built", "oracle 1.0 metadata": "done"}[stage]; last.Text != want || want == "built" && !strings.Contains(r.get(last.Log, nil).body, "tick 49 ") {
				t.Errorf("the log of %s ended with %+v", stage, last)
			}
		})
	}
	for range wanted {
		got := <-results
		t.Logf("%s installed %s after %s", got.client, got.project, got.took.Round(100*time.Millisecond))
		switch {
		case got.err != nil:
			t.Errorf("%s install %s: %v after %s\n%s", got.client, got.project, got.err, got.took, got.output)
		case got.took < long:
			t.Errorf("%s had %s after %s, and it takes %s", got.client, got.project, got.took, long)
		case r.marker(got.folder, got.project) != got.project[:1]:
			t.Errorf("%s installed another %s", got.client, got.project)
		case got.project == "oracle" && r.marker(got.folder, "base") != "b":
			t.Errorf("%s did not see what oracle requires", got.client)
		}
	}
	if took := time.Since(began); took > 2*long-10*time.Second {
		t.Errorf("all took %s: something was done twice, or a client came back late", took)
	}
	if got := r.built(); got != 3 {
		t.Errorf("%d builds, want slow, oracle and base, once each", got)
	}
	if got := r.count(`axle_metadata_total{how="prepared"}`); got < 1 || got > 3 {
		t.Errorf("the hook's metadata were handed out %d times, want at most once to each client", got)
	}
	if got := r.count(`axle_builds_total{outcome="failed"}`) + r.count(`axle_builds_total{outcome="infrastructure"}`); got != 0 {
		t.Errorf("%d builds failed", got)
	}
	// Held 14 s each time, six clients that wait 100 s ask at least 6 times each.
	if got := r.count(`axle_lookups_total{result="miss"}`); got < int(long.Seconds())*36/100 {
		t.Errorf("%d visits found nothing yet: nobody had to come back", got)
	}
}

// ticking follows the log of a build that prints the time each second, and gives its last event.
func (r *rig) ticking(build string, least int) (last index.BuildLine) {
	url := ""
	r.eventually(build+" is under way", func() bool {
		var list struct{ Builds []live.Build }
		if err := json.Unmarshal([]byte(r.get("/api/v1/builds", nil).body), &list); err != nil {
			r.t.Error(err)
		}
		for _, b := range list.Builds {
			if b.Project+" "+b.Version+" "+b.Stage == build {
				url = b.Log
			}
		}
		return url != ""
	})
	resp, err := http.Get(url)
	if err != nil {
		r.t.Error(err)
		return last
	}
	defer resp.Body.Close()
	seen, latest, rest := 0, time.Duration(0), ""
	in := bufio.NewScanner(resp.Body)
	for in.Scan() && last.Kind != "end" {
		data, ok := strings.CutPrefix(in.Text(), "data: ")
		if !ok {
			continue
		}
		if err := json.Unmarshal([]byte(data), &last); err != nil {
			r.t.Error(err)
		}
		if last.Kind != "log" {
			continue
		}
		lines := strings.Split(rest+last.Text, "\n")
		rest = lines[len(lines)-1]
		for _, line := range lines[:len(lines)-1] {
			var tick int
			var at float64
			if _, err := fmt.Sscanf(line, "tick %d %g", &tick, &at); err == nil {
				latest = max(latest, time.Since(time.UnixMicro(int64(at*1e6))))
				if tick != seen {
					r.t.Errorf("%s: %q after %d lines", build, line, seen)
				}
				seen++
			}
		}
	}
	r.t.Logf("%s: %d lines, none later than %s after it was printed", build, seen, latest)
	if seen < least || latest > 20*time.Second {
		r.t.Errorf("%s was not followed live: %v", build, in.Err())
	}
	return last
}

// head asks for the headers of a URL over a connection of its own and gives the answer as it was sent: Go's client hides what it makes of
// a length that isn't there.
func (r *rig) head(url string) string {
	r.t.Helper()
	host, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	conn, err := net.DialTimeout("tcp", host, 10*time.Second)
	r.ok(err)
	defer conn.Close()
	r.ok(conn.SetDeadline(time.Now().Add(20 * time.Second)))
	_, err = fmt.Fprintf(conn, "HEAD /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	r.ok(err)
	var b strings.Builder
	_, err = bufio.NewReader(conn).WriteTo(&b)
	r.ok(err)
	return b.String()
}

// stored is every file of a disk store but the temporary ones.
func (r *rig) stored() (all []string) {
	r.t.Helper()
	r.ok(filepath.WalkDir(r.store, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path == filepath.Join(r.store, "tmp"):
			return filepath.SkipDir
		case !d.IsDir():
			all = append(all, path)
		}
		return nil
	}))
	return all
}

// TestAskingBuildsNothing: pages, HEAD and pip's look at its own project start no work, whoever asks, and leave no trace in the store.
func TestAskingBuildsNothing(t *testing.T) {
	r := newRig(t)
	r.up.Add(testindex.Spec{Name: "demo", Version: "1.0", Marker: "d", MetadataVersion: "2.1"}, testindex.Spec{Name: "pip", Version: "999.0", MetadataVersion: "2.1"})
	r.start()
	before := strings.Join(r.stored(), "\n")
	promise := r.only("demo")
	var wg sync.WaitGroup
	for range 10 {
		for _, path := range []string{"/simple/", "/simple/demo/", "/simple/pip/", "/view/default/simple/demo/", "/view/default/cached/simple/demo/", "/view/default/cached/simple/pip/"} {
			for _, accept := range []string{"application/vnd.pypi.simple.v1+json", "text/html"} {
				wg.Go(func() {
					resp := r.get(path, map[string]string{"Accept": accept})
					if cached := strings.Contains(path, "cached"); cached && strings.Contains(resp.body, "promise") || !cached && resp.status != http.StatusOK {
						t.Errorf("%s as %s: %d %s", path, accept, resp.status, resp.body)
					}
				})
			}
		}
	}
	wg.Wait()
	for _, url := range []string{promise.URL, promise.URL + ".metadata"} {
		answer := r.head(url)
		head, body, _ := strings.Cut(answer, "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 200 ") || body != "" || strings.Contains(strings.ToLower(head), "content-length") ||
			!strings.Contains(head, "Cache-Control: no-store") {
			t.Errorf("HEAD %s:\n%s", url, answer)
		}
	}
	if after := strings.Join(r.stored(), "\n"); after != before {
		t.Errorf("the store was written to; before:\n%s\nafter:\n%s", before, after)
	}
	if got := r.built(); got != 0 {
		t.Errorf("%d builds", got)
	}

	// A range of a promise is ignored, since its bytes aren't there yet: the whole wheel comes, not to be kept.
	for _, ask := range []string{"bytes=0-9", "bytes=-16384"} {
		resp := r.get(promise.URL, map[string]string{"Range": ask})
		if resp.status != http.StatusOK || len(resp.body) < 100 || !strings.HasPrefix(resp.body, "PK") || resp.header.Get("Content-Range") != "" ||
			resp.header.Get("Cache-Control") != "no-store" {
			t.Errorf("Range %s: %d, %d bytes, %v", ask, resp.status, len(resp.body), resp.header)
		}
	}
	if got := r.built(); got != 1 {
		t.Errorf("%d builds, want one", got)
	}
	// The hit has ranges.
	if resp := r.get(r.only("demo").URL, map[string]string{"Range": "bytes=0-9"}); resp.status != http.StatusPartialContent || len(resp.body) != 10 {
		t.Errorf("a range of a hit: %d, %d bytes", resp.status, len(resp.body))
	}
	// pip asks for its own project with every installation.
	r.installs(clients(t)[1], r.home(), "demo")
	if got := r.built(); got != 1 {
		t.Errorf("pip's look at itself was taken for a wish: %d builds", got)
	}
}
