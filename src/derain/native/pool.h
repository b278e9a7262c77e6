// Threads that wait for work.
#pragma once

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace derain {

class Pool {
 public:
  explicit Pool(int threads) : threads_(threads) { begin(); }

  ~Pool() {
    if (process_ != getpid()) static_cast<void>(crew_.release());  // threads of the process before a fork
  }

  int threads() const { return threads_; }

  // Calls `work(task, thread)` for each task from 0 to `tasks` - 1, in this thread, which is number 0, and
  // the others. `work` must not throw.
  void run(int64_t tasks, const std::function<void(int64_t, int)>& work) {
    if (process_ != getpid()) {
      static_cast<void>(crew_.release());  // a fork has the calling thread alone
      begin();
    }
    crew_->run(tasks, work);
  }

 private:
  class Crew {
   public:
    explicit Crew(int threads) {
      try {
        for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { wait_for_work(i); });
      } catch (const std::system_error&) {  // a limit on threads: those that there are do the work
      }
    }

    ~Crew() {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopping_ = true;
      }
      begun_.notify_all();
      for (auto& worker : workers_) worker.join();
    }

    void run(int64_t tasks, const std::function<void(int64_t, int)>& work) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        work_ = &work;
        tasks_ = tasks;
        next_ = 0;
        busy_ = static_cast<int>(workers_.size());
        ++round_;
      }
      begun_.notify_all();
      take_tasks(0);
      std::unique_lock<std::mutex> lock(mutex_);
      ended_.wait(lock, [this] { return busy_ == 0; });
    }

   private:
    void take_tasks(int thread) {
      for (int64_t task = next_++; task < tasks_; task = next_++) (*work_)(task, thread);
    }

    void wait_for_work(int thread) {
      for (int64_t seen = 0;;) {
        {
          std::unique_lock<std::mutex> lock(mutex_);
          begun_.wait(lock, [&] { return stopping_ || round_ != seen; });
          if (stopping_) return;
          seen = round_;
        }
        take_tasks(thread);
        const std::lock_guard<std::mutex> lock(mutex_);
        if (--busy_ == 0) ended_.notify_one();
      }
    }

    std::vector<std::thread> workers_;
    std::mutex mutex_;
    std::condition_variable begun_, ended_;
    const std::function<void(int64_t, int)>* work_ = nullptr;
    int64_t tasks_ = 0, round_ = 0;
    std::atomic<int64_t> next_{0};
    int busy_ = 0;
    bool stopping_ = false;
  };

  void begin() {
    crew_ = std::make_unique<Crew>(threads_);
    process_ = getpid();
  }

  const int threads_;
  pid_t process_ = 0;
  std::unique_ptr<Crew> crew_;
};

}  // namespace derain
