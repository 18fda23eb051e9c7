package cas_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/python-wheel-build/axle/cas"
	"github.com/python-wheel-build/axle/cas/disk"
)

const crashChild = "AXLE_TEST_CRASH_CHILD" // the store folder of a child that is to be killed

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashChild); dir != "" {
		writeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// crashBlob is large enough for a kill to fall into its writing.
func crashBlob(run string, i int) string {
	return strings.Repeat(fmt.Sprintf("%s %d\n", run, i), 20_000)
}

// writeUntilKilled stores blobs and documents and prints the number of each pair when both are acknowledged.
func writeUntilKilled(dir string) {
	must := func(err error) {
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
	}
	s, err := openAt(dir)
	must(err)
	run := filepath.Base(s.Scratch())
	fmt.Println("run", run)
	for i := 0; ; i++ {
		f, err := s.TempFile()
		must(err)
		_, err = f.WriteString(crashBlob(run, i))
		must(err)
		d, _, err := s.Add(ctx, f)
		must(err)
		must(s.Create(ctx, crashKey(run, i), doc{Name: d.String()}))
		must(os.Remove(f.Name()))
		f.Close()
		fmt.Println("did", i)
	}
}

func crashKey(run string, i int) string { return fmt.Sprintf("records/foo/%s/%d.json", run, i) }

func openAt(dir string) (*cas.Store, error) {
	b, err := disk.Open(dir)
	if err != nil {
		return nil, err
	}
	return cas.Open(ctx, b, filepath.Join(dir, "tmp"))
}

// TestCrash kills a writing process, several times over, while another lives on: all that was acknowledged is there, whatever else is
// there is whole, and nothing of the dead one's temporary files is left.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	living, err := openAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer living.Close()
	kept, err := living.TempFile()
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()

	acknowledged := map[string]int{}
	for round := range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashChild+"="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		run := ""
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			word, value, _ := strings.Cut(lines.Text(), " ")
			switch word {
			case "run":
				run = value
			case "did":
				acknowledged[run]++
			default:
				t.Errorf("round %d: the child says %q", round, lines.Text())
			}
			if acknowledged[run] == 3 { // from here on the kill falls anywhere
				time.AfterFunc(time.Duration(rand.IntN(30_000))*time.Microsecond, func() { cmd.Process.Kill() })
			}
		}
		cmd.Wait()
		if acknowledged[run] < 3 {
			t.Fatalf("round %d: the child has acknowledged only %d", round, acknowledged[run])
		}
	}

	s, err := openAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(left) != 4 { // two folders, two locks
		t.Errorf("left in tmp: %v, %v; want what two living stores have", left, err)
	}
	if _, err := os.Stat(kept.Name()); err != nil {
		t.Errorf("the living process has lost its file: %v", err)
	}
	defer s.Close()
	total := 0
	for run, n := range acknowledged {
		total += n
		for i := range n {
			var got doc
			if err := s.Read(ctx, crashKey(run, i), &got); err != nil {
				t.Errorf("acknowledged document lost: %v", err)
				continue
			}
			want := crashBlob(run, i)
			if got.Name != digest.FromString(want).String() {
				t.Errorf("document %d of %s names %s", i, run, got.Name)
			}
			blob, err := s.Blob(ctx, digest.Digest(got.Name))
			if err != nil {
				t.Errorf("acknowledged blob lost: %v", err)
				continue
			}
			if text, err := io.ReadAll(blob); err != nil || string(text) != want {
				t.Errorf("blob %d of %s has other bytes, %v", i, run, err)
			}
			blob.Close()
		}
	}
	if err := s.Verify(ctx, nil, func(f cas.Finding) { t.Errorf("Verify: %+v", f) }); err != nil {
		t.Error(err)
	}
	t.Logf("%d pairs acknowledged by %d processes that were killed", total, len(acknowledged))
}
