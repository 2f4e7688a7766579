package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	remote "k8s.io/cri-client/pkg"
)

const (
	connectTime = 10 * time.Second
	pullTime    = 10 * time.Minute
)

// Those commands of crictl that somebody who sets up a node needs. They are the kubelet's own calls
// to containerd, so what `pull` says is what a pod's event will say.
type crictl struct {
	endpoint string
}

func newCrictl() *cobra.Command {
	var c crictl
	root := &cobra.Command{Use: "crictl", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().StringVarP(&c.endpoint, "runtime-endpoint", "r",
		"unix:///run/k3s/containerd/containerd.sock", "where containerd listens")
	root.AddCommand(
		command("pull IMAGE", "Pull an image as the kubelet would", 1, c.pull),
		command("rmi IMAGE", "Remove an image", 1, c.remove),
		command("version", "Tell which runtime answers", 0, c.version))
	return root
}

func command(use, short string, arguments int, run func(context.Context, ...string) error,
) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(arguments),
		RunE: func(_ *cobra.Command, args []string) error {
			limited, cancel := context.WithTimeout(context.Background(), pullTime)
			defer cancel()
			return run(limited, args...)
		},
	}
}

func (c *crictl) pull(ctx context.Context, args ...string) error {
	images, err := remote.NewRemoteImageService(c.endpoint, connectTime, nil, nil)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", c.endpoint, err)
	}
	reference, err := images.PullImage(ctx, &cri.ImageSpec{Image: args[0]}, nil, nil)
	if err != nil {
		return fmt.Errorf("pulling image: %w", err)
	}
	fmt.Println("Image is up to date for", reference)
	return nil
}

func (c *crictl) remove(ctx context.Context, args ...string) error {
	images, err := remote.NewRemoteImageService(c.endpoint, connectTime, nil, nil)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", c.endpoint, err)
	}
	spec := &cri.ImageSpec{Image: args[0]}
	status, err := images.ImageStatus(ctx, spec, false)
	if err == nil && status.GetImage() == nil {
		err = errors.New("no such image " + args[0])
	}
	if err == nil {
		err = images.RemoveImage(ctx, spec)
	}
	if err != nil {
		return fmt.Errorf("removing image: %w", err)
	}
	fmt.Println("Deleted:", args[0])
	return nil
}

func (c *crictl) version(ctx context.Context, _ ...string) error {
	runtime, err := remote.NewRemoteRuntimeService(c.endpoint, connectTime, nil, nil)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", c.endpoint, err)
	}
	answer, err := runtime.Version(ctx, "")
	if err != nil {
		return fmt.Errorf("asking for the version: %w", err)
	}
	fmt.Printf("Version:  %s\nRuntimeName:  %s\nRuntimeVersion:  %s\nRuntimeApiVersion:  %s\n",
		answer.Version, answer.RuntimeName, answer.RuntimeVersion, answer.RuntimeApiVersion)
	return nil
}
