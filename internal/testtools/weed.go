package testtools

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3 starts a SeaweedFS server of the test's own on loopback, with one empty bucket, and gives the bucket's s3:// URL, as cas/s3 takes
// it, and the credentials. Tests that want several stores add a path to the URL. The server, which takes some 3 s to start, ends with the
// test, or with the test process however that dies.
func S3(t testing.TB) (url, key, secret string) {
	t.Helper()
	key, secret = "axle-test", "axle-test-secret"
	weed := Tool(t, "weed")
	// The ports are free when they are asked for, and may be gone when the server binds them: then it ends, and others are tried.
	for attempt := 1; ; attempt++ {
		endpoint, err := startWeed(t, weed, key, secret)
		if err == nil {
			return "s3://axle?region=us-east-1&endpoint=http://" + endpoint, key, secret
		}
		if attempt == 3 {
			t.Fatalf("starting SeaweedFS: %v", err)
		}
		t.Logf("starting SeaweedFS, attempt %d: %v", attempt, err)
	}
}

func startWeed(t testing.TB, weed, key, secret string) (endpoint string, err error) {
	t.Helper()
	dir := t.TempDir()
	identities, err := json.Marshal(map[string]any{"identities": []any{map[string]any{
		"name":        "test",
		"credentials": []any{map[string]any{"accessKey": key, "secretKey": secret}},
		"actions":     []string{"Admin", "Read", "List", "Tagging", "Write"},
	}}})
	if err != nil {
		return "", err
	}
	config := filepath.Join(dir, "identities.json")
	if err := os.WriteFile(config, identities, 0o600); err != nil {
		return "", err
	}
	ports, err := freePorts(8)
	if err != nil {
		return "", err
	}
	args := []string{"server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=" + dir, "-filer", "-s3", "-s3.config=" + config,
		"-master.telemetry=false", "-s3.port.lance=0", "-s3.port.iceberg=0", // ports that it would open on its own
		"-master.volumeSizeLimitMB=1024", "-volume.max=100"}
	for i, flag := range []string{"s3.port", "s3.port.grpc", "filer.port", "filer.port.grpc", "volume.port", "volume.port.grpc",
		"master.port", "master.port.grpc"} {
		args = append(args, "-"+flag+"="+strconv.Itoa(ports[i]))
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", err
	}
	defer log.Close()
	cmd := exec.Command(weed, args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + dir}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := make(chan error, 1)
	started := make(chan error)
	go func() {
		// The signal comes when the thread that started the server ends, so that one is kept until the server has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return "", err
	}
	stop := func() error {
		cmd.Process.Kill()
		return <-ended
	}
	endpoint = "127.0.0.1:" + strconv.Itoa(ports[0])
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	go func() {
		select {
		case err := <-ended:
			ended <- err
			cancel() // no need to wait for the rest of the time
		case <-ctx.Done():
		}
	}()
	if err := ready(ctx, endpoint, key, secret); err != nil {
		stop()
		text, _ := os.ReadFile(log.Name())
		return "", fmt.Errorf("%w; the end of its log:\n%s", err, text[max(0, len(text)-2000):])
	}
	t.Cleanup(func() { stop() })
	return endpoint, nil
}

// ready waits until the server has made the bucket and kept an object in it.
func ready(ctx context.Context, endpoint, key, secret string) error {
	client, err := minio.New(endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(key, secret, ""), Region: "us-east-1", MaxRetries: 1,
		Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		return err
	}
	for {
		err := func() error {
			exists, err := client.BucketExists(ctx, "axle")
			if err == nil && !exists {
				err = client.MakeBucket(ctx, "axle", minio.MakeBucketOptions{})
			}
			if err != nil {
				return err
			}
			if _, err = client.PutObject(ctx, "axle", "ready", http.NoBody, 0, minio.PutObjectOptions{}); err != nil {
				return err
			}
			return client.RemoveObject(ctx, "axle", "ready", minio.RemoveObjectOptions{})
		}()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until all are known, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
