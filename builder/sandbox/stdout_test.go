package sandbox_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/python-wheel-build/axle/builder/sandbox"
)

// What a command prints can be had apart from what it says.
func TestStdout(t *testing.T) {
	b := newBox(t)
	var out bytes.Buffer
	log, err := b.run(sandbox.Command{Argv: []string{"sh", "-c", "echo out; echo err >&2; echo dev >/dev/stdout; seq 100000"}, Stdout: &out})
	if err != nil || log != "err\n" || !strings.HasPrefix(out.String(), "out\ndev\n1\n2\n") || !strings.HasSuffix(out.String(), "\n100000\n") {
		t.Errorf("%v: printed %.40q (%d bytes), said %q", err, out.String(), out.Len(), log)
	}
	var exit *sandbox.ExitError
	out.Reset()
	if log, err := b.run(sandbox.Command{Argv: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}, Stdout: &out}); !errors.As(err, &exit) || exit.Code != 3 || out.String() != "out\n" || log != "err\n" {
		t.Errorf("%v: printed %q, said %q", err, out.String(), log)
	}
	began := time.Now()
	if _, err := b.run(sandbox.Command{Argv: []string{"yes"}, Stdout: full{}}); !errors.Is(err, errFull) || time.Since(began) > 20*time.Second {
		t.Errorf("a writer that takes no more: %v after %s", err, time.Since(began))
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
