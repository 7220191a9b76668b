@"%~dp0python\python.exe" -m exporter %*
