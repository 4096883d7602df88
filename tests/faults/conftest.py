"""The S3 server of the platform's tests."""

from tests.synclr_assets.conftest import new_s3_bucket, s3_endpoint, s3_environment

__all__ = ["new_s3_bucket", "s3_endpoint", "s3_environment"]
