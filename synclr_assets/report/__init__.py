"""What people look at: previews for the Dagster UI, and one self-contained HTML page per trained model."""
