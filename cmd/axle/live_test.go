package main

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/python-wheel-build/axle/index/live"
	"github.com/python-wheel-build/axle/internal/testindex"
)

// TestJoined: whoever asks for a build that runs already reads its log from the beginning, and how long the last one took.
func TestJoined(t *testing.T) {
	r := newRacingRig(t)
	const says = "import time\nprint('at first')\ntime.sleep(%)\nprint('at last')\n"
	r.up.Add(testindex.Spec{Name: "demo", Version: "1.0", OnBuild: strings.ReplaceAll(says, "%", "2")},
		testindex.Spec{Name: "demo", Version: "2.0", OnBuild: strings.ReplaceAll(says, "%", "8")})
	r.start()
	if _, stderr, err := r.run("build", "demo==1.0"); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	text, err := os.ReadFile(glob(t, r.store, "records/demo/1.0/*/*/*.json")[0])
	r.ok(err)
	var record struct{ Seconds string }
	r.ok(json.NewDecoder(strings.NewReader(string(text))).Decode(&record))
	took, err := strconv.ParseFloat(record.Seconds, 64)
	if err != nil || took < 2 {
		t.Fatalf("the record says that it took %q seconds", record.Seconds)
	}

	type result struct {
		stderr string
		err    error
	}
	done := make(chan result)
	build := func() {
		_, stderr, err := r.run("build", "demo==2.0")
		done <- result{stderr, err}
	}
	go build()
	r.eventually("the second one runs and tells how long the first one took", func() bool {
		var list struct{ Builds []live.Build }
		r.ok(json.Unmarshal([]byte(r.get("/api/v1/builds", nil).body), &list))
		return len(list.Builds) == 1 && list.Builds[0].Version == "2.0" && list.Builds[0].RanSeconds > 0 && list.Builds[0].ExpectedSeconds == took
	})
	go build()
	for range 2 {
		got := <-done
		if want := "axle: demo 2.0:\naxle: unpacking demo-2.0.tar.gz\naxle: running the backend (build) with nothing\nat first\nat last\n"; got.err != nil || !strings.Contains(got.stderr, want) {
			t.Errorf("%v\n%s", got.err, got.stderr)
		}
	}
	if got := r.built(); got != 2 {
		t.Errorf("%d builds", got)
	}
	for _, want := range []string{"msg=building project=demo version=1.0 cause=never-built\n", "msg=built project=demo version=1.0 wheel=demo-1.0-py3-none-any.whl ran=", "msg=building project=demo version=2.0 expected="} {
		if !strings.Contains(r.out.all(), want) {
			t.Errorf("the server's log has no %q", want)
		}
	}
}
